"""Generated situations end in a right answer or in one sentence: 200 of them here, with ``make slow`` 2,000 more."""

import io
import json
import re
import shutil
import signal
import sys
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from cli_support import NETWORK as NET
from cli_support import vebi
from safetensors.torch import save_file
from situations import EXPLAIN, FIT, Situation, situation

from vebi.cli.main import main

QUICK, MANY, AT_A_TIME = 200, 2000, 50


@pytest.fixture(scope="module")
def base(squares, toy_module, tmp_path_factory) -> Path:
    """A folder with a network, a few images, and a finished run."""
    folder = tmp_path_factory.mktemp("situations") / "base"
    for path in sorted(squares.rglob("0[0-5].png")):
        copy = folder / "images" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (folder / "network.py").write_text(NET)
    save_file(toy_module.state_dict(), folder / "w.safetensors")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        vebi(*FIT[:-2], "run")
    return folder


@pytest.fixture(scope="module")
def before(base) -> list:
    """What `vebi explain` says of the run as it is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(base)
        rows = json.loads(vebi(*EXPLAIN).out)
    shutil.rmtree(base / "new")
    return rows


class Hangs(BaseException):
    """No `Exception`, which a command may take for the error of a file or a network."""


@contextmanager
def within(seconds: int):
    def stop(*_):
        raise Hangs(f"it takes more than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def run(made: Situation) -> tuple[int, str, str]:
    """The exit code and what is printed, on a console of the encoding of the situation."""
    out, err = (io.TextIOWrapper(io.BytesIO(), made.streams, newline="") for _ in range(2))
    with (
        within(60),
        warnings.catch_warnings(),
        patch.object(sys, "argv", ["vebi", *made.words]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(made.streams, "replace"))
    return end.value.code or 0, *texts


def check(made: Situation, code: int, out: str, err: str, before: list) -> None:
    assert code in made.codes, err
    assert "Traceback" not in err, err
    assert "defect" not in re.findall(r"\w+", err), err
    if code:
        lines = err.splitlines()
        assert lines, "it ends without a word"
        assert lines[-1].startswith("vebi: "), err
        assert sum(line.startswith("vebi: ") for line in lines) == 1, err
    elif "--json" in made.words:
        content = json.loads(out)
        if made.same:
            assert alike(content, before)
    if not Path("mine").exists():
        assert Path("/dev/null").is_char_device()


def alike(rows, others) -> bool:
    """Whether explanations are the same but for rounding."""
    if isinstance(rows, float) and isinstance(others, float):
        return rows == pytest.approx(others, rel=1e-4, abs=1e-6)
    if isinstance(rows, dict):
        return rows.keys() == others.keys() and all(alike(rows[key], others[key]) for key in rows)
    if isinstance(rows, list):
        return len(rows) == len(others) and all(map(alike, rows, others))
    return rows == others


def try_all(numbers, base, before, tmp_path) -> None:
    failed = {}
    for number in numbers:
        folder = tmp_path / str(number)
        shutil.copytree(base, folder, symlinks=True)
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(folder)
            made = situation(number)
            grad = torch_gradients()
            try:
                check(made, *run(made), before)
            except (Exception, pytest.fail.Exception, Hangs) as error:
                failed[number, made.name, " ".join(map(repr, made.words))] = str(error)[:600]
            finally:
                torch_gradients(grad)
        shutil.rmtree(folder, ignore_errors=True)
    assert not failed, "\n\n".join(f"{key}: {value}" for key, value in failed.items())


def torch_gradients(enabled: bool = True) -> bool:
    """Networks of situations may switch them off for good."""
    import torch

    before = torch.is_grad_enabled()
    torch.set_grad_enabled(enabled)
    return before


@pytest.mark.usefixtures("without_checks_of_types")
@pytest.mark.parametrize("start", range(0, QUICK, AT_A_TIME))
def test_generated_situations(start, base, before, tmp_path):
    try_all(range(start, start + AT_A_TIME), base, before, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("without_checks_of_types")
@pytest.mark.parametrize("start", range(QUICK, QUICK + MANY, AT_A_TIME))
def test_many_generated_situations(start, base, before, tmp_path):
    try_all(range(start, start + AT_A_TIME), base, before, tmp_path)
