"""A run whose files were changed by a disk or a hand is refused, or it is the same run: never another one."""

import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from support import locked_elsewhere, write_unsigned

from vebi.activations.descriptors import Descriptor
from vebi.activations.shards import read_shard
from vebi.errors import RunError
from vebi.files import read_arrays, write_arrays
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import load
from vebi.interpretation.run_folder import read_json
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

FILES = ("run.json", "interpretation.json", "interpretation.safetensors")


@pytest.fixture(scope="module")
def run(toy_module, squares, tmp_path_factory):
    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    folder = tmp_path_factory.mktemp("damage") / "run"
    interpret(toy, squares, mu=1.75, descriptor=Descriptor.paper(), out=folder)
    return folder


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_or_changes_nothing(run, tmp_path, assert_equal, name, without_checks_of_types):
    intact, rng, refused = load(run), np.random.default_rng(0), 0
    path = tmp_path / "run" / name
    shutil.copytree(run, tmp_path / "run")
    content = path.read_bytes()
    for bit in rng.integers(0, 8 * len(content), 60):
        path.write_bytes(content)
        flip(path, int(bit))
        try:
            found = load(tmp_path / "run")
        except RunError:
            refused += 1
        else:
            assert_equal(found, intact)
    assert refused > 50


@pytest.mark.parametrize("name", ["weights", "path.weights", "path.fidelity", "layer_shares", "images"])
def test_a_changed_array_is_refused_though_it_could_be(run, tmp_path, name):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "interpretation.safetensors"
    content, array = path.read_bytes(), np.ascontiguousarray(load_file(path)[name])
    start = content.index(array.tobytes())
    flip(path, 8 * (start + array.nbytes // 2))
    with pytest.raises(RunError, match=f"checksum of {name} does not match"):
        load(tmp_path / "run")


def test_a_changed_shard_is_refused_when_a_fit_is_resumed(run, toy, squares, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "interpretation.json").unlink()
    shard = tmp_path / "run" / "table" / "shard-00000.safetensors"
    shares = read_shard(shard)[0]["shares"]
    flip(shard, 8 * (shard.read_bytes().index(shares.tobytes()) + shares.nbytes // 2))
    with pytest.raises(RunError, match="checksum of shares does not match"):
        interpret(toy, squares, mu=1.75, descriptor=Descriptor.paper(), out=tmp_path / "run")


@pytest.mark.parametrize("change", [lambda w: -w, lambda w: 2 * w, lambda w: w * np.nan])
def test_weights_that_no_fit_could_give_are_refused(run, tmp_path, change):
    """Without a checksum, as a run of an earlier version has none."""
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "interpretation.safetensors"
    arrays = load_file(path)
    save_file(arrays | {"weights": change(arrays["weights"])}, path)
    result = path.with_suffix(".json")
    write_unsigned(result, read_json(result))
    with pytest.raises(RunError, match="weights cannot be"):
        load(tmp_path / "run")


@pytest.mark.parametrize("number", [2**31, 2**63, 10**400], ids=["2**31", "2**63", "10**400"])
def test_numbers_that_no_array_holds_are_refused(run, tmp_path, number):
    """Without a checksum, as by a hand."""
    shutil.copytree(run, tmp_path / "run")
    for name in ("run.json", "interpretation.json"):
        content = read_json(tmp_path / "run" / name)
        for layers in (content["settings"]["layers"], content.get("layers", [[0, 0]])):
            layers[0][1] = number
        write_unsigned(tmp_path / "run" / name, content)
    with pytest.raises(RunError, match=r"damaged .*layers"):
        load(tmp_path / "run")


@pytest.mark.parametrize("number", [2**63, 10**400], ids=["2**63", "10**400"])
def test_a_receptive_field_that_cannot_be_is_refused(run, tmp_path, number):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "interpretation.json"
    content = read_json(path)
    content["features"][0]["exemplars"]["receptive_field"][0] = number
    write_unsigned(path, content)
    with pytest.raises(RunError, match="exemplars cannot be"):
        load(tmp_path / "run")


def test_a_result_of_another_fit_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    content = read_json(path)
    content["settings"]["data"]["sha256"] = "0" * 64
    write_unsigned(path, content)
    with pytest.raises(RunError, match=r"interpretation\.json is of another fit than run\.json, its data-sha256"):
        load(tmp_path / "run")


def test_arrays_of_another_fit_are_refused(run, toy, squares, tmp_path):
    """Even of the same settings, where nothing else differs."""
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "interpretation.safetensors"
    arrays = read_arrays(path)[0]
    write_arrays(path, arrays | {"weights": arrays["weights"][::-1]})
    with pytest.raises(RunError, match="the arrays are those of another fit"):
        load(tmp_path / "run")


def test_arrays_come_back_with_their_metadata_and_equal_files_are_equal(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 2), np.int64), "c": np.ones(3, bool)}
    for name in ("one", "other"):
        write_arrays(tmp_path / name, arrays, {"note": "x", "more": "y"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found, metadata = read_arrays(tmp_path / "one")
    assert metadata == {"note": "x", "more": "y"}
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items()
    )
    assert read_arrays(tmp_path / "one", ["a"])[0].keys() == {"a"}
    with pytest.raises(ValueError, match="nope"):
        read_arrays(tmp_path / "one", ["nope"])
    save_file(arrays, tmp_path / "earlier", {"note": "x"})
    assert read_arrays(tmp_path / "earlier")[1] == {"note": "x"}


def test_a_fit_into_the_folder_of_another_one_is_refused_while_that_runs(toy, squares, tmp_path):
    with locked_elsewhere(tmp_path):
        for write in (
            lambda: interpret(toy, squares, mu=1.75, out=tmp_path),
            lambda: interpret(toy, squares, mu=1.75).save(tmp_path),
        ):
            with pytest.raises(RunError, match="is being written by another process"):
                write()
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_another_fit_is_refused(run, toy, squares, tmp_path):
    """Even one that could be: of the same images and layers, by other weights."""
    network = deepcopy(toy.model)
    with torch.no_grad():
        network.conv2.bias += 0.1
    paper = {"mu": 1.75, "descriptor": Descriptor.paper()}
    other = interpret(replace(toy, model=network), squares, **paper, out=tmp_path / "other")
    assert other.settings.layers == load(run).settings.layers
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "interpretation.json").unlink()
    shutil.copy(tmp_path / "other/table/shard-00000.safetensors", tmp_path / "run/table/shard-00000.safetensors")
    with pytest.raises(RunError, match=r"shard-00000\.safetensors is of another fit: delete it"):
        interpret(toy, squares, **paper, out=tmp_path / "run")
