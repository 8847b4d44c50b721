import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from vebi.files import whole, write_arrays, write_json


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), whole(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    with whole(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


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
    found = load_file(tmp_path / "a.safetensors")
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())
