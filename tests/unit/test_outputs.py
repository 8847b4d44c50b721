"""Files and folders to write into, each by one process at a time."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vebi.errors import RunError, UsageError
from vebi.outputs import other_files, output_file, output_folder, prepare_output_file, prepare_output_folder

HOLD = """
import sys, time
from pathlib import Path
from vebi.outputs import output_file, output_folder
with {function}(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_folders_and_files_to_write_into(tmp_path):
    prepare_output_file(tmp_path / "a" / "b" / "c.html")
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(UsageError, match=f"{tmp_path}/a/b is a folder"):
        prepare_output_file(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"^{tmp_path}/file "):
        prepare_output_folder(tmp_path / "file")
    with pytest.raises(RunError, match=f"^{tmp_path}/file/below "):
        prepare_output_file(tmp_path / "file" / "below" / "c.html")


def test_a_device_or_a_pipe_is_no_file_to_write(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UsageError, match=f"^{path} is a device, a pipe"):
            prepare_output_file(path)
        with pytest.raises(RunError, match=f"^{path} cannot be used as a folder"):
            prepare_output_folder(path)


@pytest.mark.parametrize(("function", "name"), [("output_folder", "folder"), ("output_file", "page.html")])
def test_a_lock_keeps_others_out_and_ends_with_its_process(tmp_path, function, name):
    path = tmp_path / name
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(function=function), str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        take = output_folder if function == "output_folder" else output_file
        with pytest.raises(RunError, match=f"^{path} is being written by another process: wait"), take(path):
            pass
        process.kill()
        process.wait()
        with take(path):  # what the killed process left is no obstacle
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
