"""Files and folders to write into, each by one process at a time."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vebi.errors import RunError, UsageError
from vebi.outputs import (
    LONGEST,
    file_stem,
    file_stems,
    other_files,
    output_file,
    output_folder,
    prepare_output_file,
    prepare_output_folder,
    same_name,
)

HOLD = """
import sys, time
from pathlib import Path
from vebi.outputs import output_file, output_folder
with {function}(Path(sys.argv[1]), *sys.argv[2:]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_folders_and_files_to_write_into(tmp_path):
    prepare_output_file(tmp_path / "a" / "b" / "c.html", ".html")
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(UsageError, match=f"{tmp_path}/a/b is a folder"):
        prepare_output_file(tmp_path / "a" / "b", ".html")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"^{tmp_path}/file "):
        prepare_output_folder(tmp_path / "file")
    with pytest.raises(RunError, match=f"^{tmp_path}/file/below "):
        prepare_output_file(tmp_path / "file" / "below" / "c.html", ".html")


@pytest.mark.parametrize("name", ["run.json", "report", ".html", "html"])
def test_a_file_of_another_kind_is_never_replaced(tmp_path, name):
    (tmp_path / name).write_text("kept")
    with pytest.raises(UsageError, match=rf"{name}: give a file name that ends in \.html"):
        prepare_output_file(tmp_path / name, ".html")
    assert (tmp_path / name).read_text() == "kept"


def test_a_device_or_a_pipe_is_no_file_to_write(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UsageError, match=f"^{path} is a device, a pipe"):
            prepare_output_file(path, ".html")
        with pytest.raises(RunError, match=f"^{path} cannot be used as a folder"):
            prepare_output_folder(path)


@pytest.mark.parametrize(("function", "name"), [("output_folder", "folder"), ("output_file", "page.html")])
def test_a_lock_keeps_others_out_and_ends_with_its_process(tmp_path, function, name):
    path = tmp_path / name
    take = {"output_folder": output_folder, "output_file": output_file}[function]
    kind = [] if function == "output_folder" else [".html"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(function=function), str(path), *kind], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"^{path} is being written by another process: wait"), take(path, *kind):
            pass
        process.kill()
        process.wait()
        with take(path, *kind):  # what the killed process left is no obstacle
            pass
    assert [p.name for p in tmp_path.rglob("*")] == (["folder"] if function == "output_folder" else [])


def test_blocks_of_a_thread_can_be_nested_and_other_threads_are_kept_out(tmp_path):
    refused = []

    def enter():
        try:
            with output_folder(tmp_path):
                pass
        except RunError as error:
            refused.append(error)

    def enter_elsewhere():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()

    with output_folder(tmp_path):
        with output_folder(tmp_path):
            enter_elsewhere()
        enter_elsewhere()
    assert len(refused) == 2
    enter_elsewhere()
    assert len(refused) == 2


def test_locks_and_unfinished_files_are_not_in_the_way(tmp_path):
    with output_folder(tmp_path):
        (tmp_path / "a.json.partial").touch()
        assert other_files(tmp_path) == []
        (tmp_path / "a.json").touch()
        assert other_files(tmp_path) == [tmp_path / "a.json"]


LONG = ["x" * 300, "\u82b1" * 100, "a" * 199 + "\u00e9"]


@pytest.mark.parametrize("name", ["layer1.0.relu", "a/b:3", "\udcff\udcfe", "nul\0", *LONG], ids=range(7))
def test_any_name_makes_a_file(tmp_path, name):
    stem = file_stem(name)
    assert len(os.fsencode(stem)) <= LONGEST
    (tmp_path / f"{stem}.webp.partial").touch()
    assert file_stem(name) == stem
    assert name in LONG or stem == name.replace("/", "_").replace(":", "-").replace("\0", "_")


def test_long_names_that_begin_alike_stay_apart():
    names = ["x" * 251 + end for end in ("", "a", "b")]
    assert len({file_stem(name) for name in names}) == 3


@pytest.mark.parametrize("names", [["a", "a", "a"], ["a", "A"], ["caf\u00e9", "cafe\u0301"], ["x" * 251] * 2])
def test_names_that_are_one_file_on_some_system_get_numbers(names):
    stems = file_stems(names)
    assert len(set(map(same_name, stems))) == len(names)
    assert stems[1].endswith("-2")
