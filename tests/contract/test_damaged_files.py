"""Files that were damaged in any way: they work and are right in shape, or one sentence says what is wrong with them.

What a damaged picture does is in test_decoding.py.
"""

import copy
import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from cli_support import fails, run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from support import ToyNet, draw_square

from vebi import explain, interpret, load
from vebi.activations.layers import Feature
from vebi.cli.options import load_model
from vebi.data.sources import open_images
from vebi.datasets import masks
from vebi.datasets.flowers import load_dataset
from vebi.datasets.flowers.card import describe
from vebi.datasets.masks import find_masks
from vebi.errors import InputError, VebiError, VebiWarning
from vebi.interpretation import run_folder
from vebi.models.flowernet import FlowerNet
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import save_checkpoint

NETWORK = "from support import ToyNet\n"
DATASET = {"variant": "single-6c", "images_per_class": 1, "size": 48, "seed": 0, "background": "plain"}


@st.composite
def damage(draw) -> Callable[[bytes], bytes]:
    """A few bytes changed, put in or cut out, mostly near the start, where files say what they hold."""
    places = st.one_of(st.integers(0, 1500), st.integers(0))
    fresh = st.one_of(st.binary(max_size=4), st.sampled_from([b"0", b"-", b"9", b'"', b"[", b"}", b"null", b"\n"]))
    changes = draw(st.lists(st.tuples(places, st.integers(0, 4), fresh), min_size=1, max_size=4))
    kept = draw(st.one_of(st.just(1.0), st.floats(0, 1)))

    def apply(data: bytes) -> bytes:
        for place, length, put in changes:
            place %= max(1, len(data))
            data = data[:place] + put + data[place + length :]
        return data[: round(kept * len(data))]

    return apply


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, "", "relu", "red", [], {}, [[]], [["relu", 8]], {"size": 8}]),
    st.text(max_size=3),
)


@st.composite
def other_values(draw) -> Callable[[Any], Any]:
    """One value of a JSON document replaced by another one, left out, or put in twice."""
    steps = draw(st.lists(st.integers(0, 40), min_size=1, max_size=7))
    value, what = draw(VALUES), draw(st.sampled_from(["replaced", "replaced", "left out", "twice"]))

    def apply(content: Any) -> Any:
        content = place = copy.deepcopy(content)
        for k, step in enumerate(steps):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = keys[step % len(keys)]
            if k + 1 < len(steps) and isinstance(place[key], dict | list) and place[key]:
                place = place[key]
            elif what == "left out":
                del place[key]
                break
            elif what == "twice" and isinstance(place, list):
                place.append(place[key])
                break
            else:
                place[key] = value
                break
        return content

    return apply


@pytest.fixture(scope="module", autouse=True)
def as_users_run_it():
    """Without the checks of types that tests run under: they would find what the program has to find itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@contextmanager
def told_or_right():
    """Lets a VebiError pass that has something to say."""
    try:
        yield
    except VebiError as error:
        assert ": " in str(error) and "Traceback" not in str(error)


def examples(count: int):
    return settings(max_examples=count, deadline=None)


@pytest.fixture(scope="module")
def files(tmp_path_factory, toy_module, squares) -> Path:
    """network.py with its weights, a checkpoint, a run of four pictures a class, and a data set of flowers."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), folder / "w.safetensors")
    torch.save(toy_module.state_dict(), folder / "w.pt")
    torch.manual_seed(0)
    prepare = Preprocess(32, (0.5,) * 3, (0.25,) * 3)
    save_checkpoint(folder / "c.safetensors", FlowerNet(3), "vebi:flowernet", prepare, "abc", {"seed": 0})
    for path in squares.rglob("0[0-3].png"):
        (folder / "pictures" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "pictures" / path.parent.name)
    classifier = load_classifier(f"{folder}/network.py:ToyNet", folder / "w.safetensors")
    interpret(classifier, folder / "pictures", mu=1, batch_size=12, out=folder / "run")
    flowers = folder / "flowers"
    for kind in ("images", "masks"):
        for name in ("red", "blue"):
            (flowers / kind / name).mkdir(parents=True)
            labels = np.zeros((48, 48), np.uint8)
            labels[:20] = 2
            image = Image.fromarray(labels)
            if kind == "masks":
                image.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
            image.save(flowers / kind / name / "0.png")
    (flowers / "dataset.json").write_text(json.dumps(describe(DATASET) | {"sha256": "0" * 64}))
    return folder


@contextmanager
def changed(path: Path, content: bytes):
    """A file with other content for a while."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


# --- the table ------------------------------------------------------------------------------------------------------


@examples(100)
@given(damage())
def test_shards_of_a_fit_that_goes_on(files, damaged):
    path = files / "run" / "table" / "shard-00000.safetensors"
    classifier = load_classifier(f"{files}/network.py:ToyNet", files / "w.safetensors")
    result = files / "run" / "interpretation.json"
    kept = {file: file.read_bytes() for file in (result, result.with_suffix(".safetensors"))}
    result.unlink()
    try:
        with changed(path, damaged(path.read_bytes())), told_or_right(), warnings.catch_warnings():
            warnings.simplefilter("ignore", VebiWarning)  # changed numbers may give other features, or none
            found = interpret(classifier, files / "pictures", mu=1, batch_size=12, out=files / "run")
            assert found.weights.shape == (3, len(found.features)) and np.isfinite(found.weights).all()
    finally:
        for file, content in kept.items():
            file.write_bytes(content)


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@examples(100)
@given(damage())
def test_weights(files, name, damaged):
    """What is loaded has the shapes of the network, and every number in it is one."""
    path = files / name
    with changed(path, damaged(path.read_bytes())), told_or_right():
        state = load_classifier(f"{files}/network.py:ToyNet", path).module.state_dict()
        assert {k: (v.shape, v.dtype) for k, v in state.items()} == {
            k: (v.shape, v.dtype) for k, v in ToyNet().state_dict().items()
        }
        assert all(value.isfinite().all() for value in state.values())


@examples(80)
@given(damage())
def test_checkpoint(files, damaged):
    path = files / "c.safetensors"
    with changed(path, damaged(path.read_bytes())), told_or_right():
        found = load_classifier(path)
        scores = found.scores(found.blank()).shape[1]
        assert found.spec == "vebi:flowernet" and len(found.class_names or range(scores)) == scores


# --- runs -----------------------------------------------------------------------------------------------------------


def look_at(files: Path) -> None:
    """Loads the run and explains a picture by it: all parts must belong together."""
    classifier = run_folder.find_classifier(files / "run", f"{files}/network.py:ToyNet")
    found = load(files / "run", classifier)
    assert found.weights.shape == (len(found.classes), len(found.features)) and found.weights.dtype == np.float64
    assert np.isfinite(found.weights).all() and np.isfinite(found.gaps).all() and len(found.gaps) == len(found.classes)
    places = [Feature(name, channel) for name, channels in found.layers for channel in range(channels)]
    assert [places[column] for column in found.columns] == list(found.features)
    assert {type(feature.channel) for feature in found.features} == {int}
    assert found.classes == ToyNet.class_names and len(found.exemplars) == len(found.features)
    for exemplar in found.exemplars:
        assert exemplar.average.ndim == 3 and exemplar.crops.shape[1:] == exemplar.average.shape
        assert exemplar.average.dtype == exemplar.crops.dtype == np.uint8
    told = explain(found, files / "pictures" / "red" / "00.png")
    assert all(e.heatmap.shape == (32, 32) and np.isfinite(e.heatmap).all() for e in told.evidence)


def test_a_run_that_is_intact_is_right(files):
    look_at(files)


@pytest.mark.parametrize("name", ["run.json", "interpretation.json", "interpretation.safetensors"])
@examples(100)
@given(damage())
def test_run(files, name, damaged):
    path = files / "run" / name
    with changed(path, damaged(path.read_bytes())), told_or_right():
        look_at(files)


@pytest.mark.parametrize("name", ["run.json", "interpretation.json"])
@examples(250)
@given(other_values())
def test_values_of_a_run(files, name, altered):
    path = files / "run" / name
    with changed(path, json.dumps(altered(json.loads(path.read_text()))).encode()), told_or_right():
        look_at(files)


@examples(100)
@given(st.one_of(damage(), other_values()))
def test_a_run_is_gone_on_with_only_where_its_settings_are_equal(files, change):
    path = files / "run" / "run.json"
    before = json.loads(path.read_text())
    if change.__qualname__.startswith("damage"):
        content = change(path.read_bytes())
    else:
        content = json.dumps(change(before)).encode()
    with changed(path, content), told_or_right():
        run_folder.claim(files / "run", before["settings"])
        held = run_folder.read_settings(files / "run")
        for name in ("mu", "classes", "layers", "signed", "energy"):
            assert held[name] == before["settings"][name]


# --- flowers and masks ----------------------------------------------------------------------------------------------


def look_at_masks(files: Path) -> None:
    record = load_dataset(files / "flowers")
    assert {"red", "blue"} <= {entry["name"] for entry in record["classes"]}
    masks._record.cache_clear()
    found = find_masks(open_images(files / "flowers"))
    assert all(found(k).shape == (48, 48) and found(k).dtype == bool for k in range(2))


def test_masks_that_are_intact_are_right(files):
    look_at_masks(files)


@examples(150)
@given(damage())
def test_data_set(files, damaged):
    path = files / "flowers" / "dataset.json"
    with changed(path, damaged(path.read_bytes())), told_or_right():
        look_at_masks(files)


@examples(150)
@given(other_values())
def test_values_of_a_data_set(files, altered):
    path = files / "flowers" / "dataset.json"
    with changed(path, json.dumps(altered(json.loads(path.read_text()))).encode()), told_or_right():
        look_at_masks(files)


@examples(150)
@given(damage())
def test_masks_of_flowers(files, damaged):
    path = files / "flowers" / "masks" / "red" / "0.png"
    with changed(path, damaged(path.read_bytes())), told_or_right():
        look_at_masks(files)


@pytest.mark.parametrize("other", [Image.new("P", (24, 24)), Image.new("RGB", (48, 48)), Image.new("P", (48, 24))])
def test_masks_of_flowers_of_another_kind(files, other):
    """Nothing is wrong with the file, but it is no label image as large as its picture."""
    path = files / "flowers" / "masks" / "red" / "0.png"
    with changed(path, path.read_bytes()), pytest.raises(InputError, match="0.png is no mask that can be read .mode"):
        other.save(path)
        look_at_masks(files)


@examples(100)
@given(damage())
def test_masks_of_pictures(files, damaged):
    """As large as its picture, or refused."""
    tree = files / "truth"
    for name in ToyNet.class_names:
        (tree / name).mkdir(parents=True, exist_ok=True)
        draw_square(np.random.default_rng(0), (0, 0, 0)).save(tree / name / "00.png")
    path = tree / "red" / "00.png"
    with changed(path, damaged(path.read_bytes())), told_or_right():
        mask = find_masks(open_images([files / "pictures" / "red" / "00.png"], ToyNet.class_names), tree)(0)
        assert mask.shape == (32, 32) and mask.dtype == bool


# --- files of options -----------------------------------------------------------------------------------------------

CONFIG = """
[layers]
weights = "w.safetensors"
mean = [0.5, 0.5, 0.5]
size = 32
layers = ["relu1", "conv*"]
json = true

[fit]
mu = 5
"""


@examples(100)
@given(damage())
def test_config(files, damaged):
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(files)
        Path("vebi.toml").write_bytes(damaged(CONFIG.encode()))
        told = run("layers", "network.py:ToyNet", "--config", "vebi.toml")
        if told.code == 0:
            assert told.out and told.err == ""
        else:
            assert told.code in (2, 3)
            fails(told.code, "layers", "network.py:ToyNet", "--config", "vebi.toml")


@examples(100)
@given(damage())
def test_class_names(files, damaged):
    path = files / "names.txt"
    path.write_bytes(damaged("blau\ngrün\nrot\n".encode()))
    options = dict.fromkeys(("mean", "std", "size", "resize", "interpolation"))
    with told_or_right():
        found = load_model(f"{files}/network.py:ToyNet", None, classes=str(path), device="cpu", **options)
        assert len(set(found.class_names)) == 3 and all(name.strip() for name in found.class_names)
