import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from vebi.errors import RunError, UsageError
from vebi.files import atomic_write, prepare_output_file, prepare_output_folder, write_arrays, write_json


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
