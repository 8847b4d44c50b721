import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from vebi.errors import RunError
from vebi.files import atomic_write, read_arrays, write_arrays, write_json


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    with atomic_write(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"mu": 5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"mu": 5}


@pytest.mark.skipif(os.name == "nt", reason="modes of files are those of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_others_can_read_what_the_umask_lets_them(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_arrays(tmp_path / "a.safetensors", {"a": np.ones(2)})
        (tmp_path / "a.safetensors.partial").touch(0o600)  # of a run that was killed
        write_arrays(tmp_path / "a.safetensors", {"a": np.ones(3)})
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


def test_arrays_of_any_order_of_memory(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    arrays = {"c": array, "fortran": np.asfortranarray(array), "columns": array[:, [3, 0]], "turned": array.T}
    write_arrays(tmp_path / "a.safetensors", arrays)
    stored = load_file(tmp_path / "a.safetensors")
    assert all(np.array_equal(stored[name], value) for name, value in arrays.items())


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path):
    def full_disk():
        with atomic_write(tmp_path / "file") as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        full_disk()
    assert list(tmp_path.iterdir()) == []


def test_no_device_or_pipe_is_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="is no file, and would be replaced by one"):
        write_json(tmp_path / "pipe", {})
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["skipped", "0f5d"])
def test_metadata_that_were_changed_are_refused(tmp_path, name):
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"a": np.ones(2)}, {"skipped": "0f5d"})
    assert read_arrays(path)[1] == {"skipped": "0f5d"}
    content = path.read_bytes()
    assert content.count(name.encode()) == 1
    path.write_bytes(content.replace(name.encode(), name[:-1].encode() + b"e"))
    with pytest.raises(ValueError, match="checksum"):
        read_arrays(path)
