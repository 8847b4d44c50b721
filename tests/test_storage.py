import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from vebi.storage import whole, write_arrays, write_json


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


def test_arrays_of_any_order_of_memory(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    arrays = {"c": array, "fortran": np.asfortranarray(array), "columns": array[:, [3, 0]], "turned": array.T}
    write_arrays(tmp_path / "a.safetensors", arrays)
    found = load_file(tmp_path / "a.safetensors")
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())
