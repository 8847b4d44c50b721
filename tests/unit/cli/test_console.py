import importlib
import io
import json
import sys
import warnings

import pytest

from vebi.cli import console
from vebi.cli.errors import report_errors
from vebi.errors import ImageError, ModelError, UsageError, VebiError, VebiWarning


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (VebiError("it failed"), 1, "vebi: it failed"),
        (UsageError("mu is 0"), 2, "vebi: mu is 0"),
        (ImageError("x.png is\n damaged"), 3, "vebi: x.png is damaged"),
        (KeyboardInterrupt(), 130, "vebi: interrupted"),
        (
            OSError(28, "x", "/full"),
            1,
            "vebi: no space is left on the disk for /full: free some, and give the command again",
        ),
        (NotADirectoryError(20, "Not a directory", "a/b"), 3, "vebi: a/b cannot be used as a folder, a file is in its"),
        (MemoryError(), 1, "vebi: out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "vebi: out of memory"),
        (RuntimeError("oops"), 1, "vebi: stopped by a defect (RuntimeError: oops)"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_a_code(capsys, error, code, line):
    with pytest.raises(SystemExit) as stopped, report_errors():
        raise error
    assert stopped.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("raise RuntimeError('no GLIBC')", "no GLIBC"),
        ("raise OSError('no libblas')", "no libblas"),
        ("raise RuntimeError", "RuntimeError"),
        ("from json import none", "cannot import name"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(capsys, tmp_path, monkeypatch, content, reason):
    (tmp_path / "vebi_needs.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as stopped, report_errors():
        importlib.import_module("vebi_needs")
    err = capsys.readouterr().err
    assert err.startswith(f"vebi: vebi_needs cannot be imported ({reason}")
    assert err.endswith("pip install --force-reinstall vebi_needs\n")
    assert stopped.value.code == 1


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\r\nb", "a\x0bb", "a\x85b", "a\u2028b", "a\x1b[1mb"])
def test_a_row_is_a_line_whatever_is_in_its_cells(capsys, name):
    console.table(["class", "count"], [[name, 3]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split() == [repr(name)[1:-1], "3"]


def test_a_defect_can_be_looked_at(monkeypatch):
    monkeypatch.setenv("VEBI_DEBUG", "1")
    with pytest.raises(ZeroDivisionError), report_errors():
        raise ZeroDivisionError


def test_so_can_what_a_model_raised(monkeypatch, capsys):
    monkeypatch.setenv("VEBI_DEBUG", "1")
    with pytest.raises(SystemExit) as stopped, report_errors():
        raise ModelError("the model failed") from KeyError("a part of the model")
    assert stopped.value.code == ModelError.exit_code
    err = capsys.readouterr().err
    assert "KeyError: 'a part of the model'" in err
    assert err.endswith("\nvebi: the model failed\n")


def test_our_warnings_are_notes_and_those_of_others_are_not_for_users(capsys):
    shown = warnings.showwarning
    with report_errors():
        warnings.warn("two images\nwere skipped", VebiWarning, stacklevel=1)
        warnings.warn("numpy will change", FutureWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: two images were skipped\n"
    assert warnings.showwarning is shown


def test_a_reader_that_has_gone_is_no_error(monkeypatch, tmp_path):
    with (tmp_path / "pipe").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as stopped, report_errors():
            raise BrokenPipeError
    assert stopped.value.code == 0


def test_names_in_brackets_are_no_markup(capsys):
    console.table(["class"], [["[red]rose[/nothing]"]])
    assert "[red]rose[/nothing]" in capsys.readouterr().out


def test_json_is_all_there_is_on_stdout(capsys):
    console.print_json({"a": ["\xe9", 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": ["\xe9", 1.5]}


def test_no_progress_off_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with console.progress() as update:
        update("descriptors", 1, 3)
    assert sys.stderr.getvalue() == ""


def test_a_line_of_progress_every_few_seconds_off_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(console, "SECONDS", 0)
    with console.progress() as update:
        update("descriptors", 1, 3)
        update("exemplars", 2, 4)
    assert sys.stderr.getvalue() == "descriptors: 1 of 3\nexemplars: 2 of 4\n"


def test_nothing_is_wrapped_off_a_terminal(capsys):
    names = ["a very long name of a class " * 8, "layer." * 60]
    console.table(["class", "layer"], [names])
    assert capsys.readouterr().out.splitlines()[1].split("  ")[0] == names[0].strip()


def test_a_stage_that_begins_again_counts_from_the_start(monkeypatch):
    """Stages come once a fold: the second time must not look finished."""
    seen = []
    monkeypatch.setattr("rich.progress.Progress.reset", lambda self, task: seen.append(task))
    with console.progress() as update:
        for done in (1, 2, 3):
            update("score", done, 3)
        assert seen == []
        update("score", 1, 3)
    assert len(seen) == 1
