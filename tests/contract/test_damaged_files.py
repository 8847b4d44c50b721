"""Files that were damaged in any way: they work and are right in shape, or one sentence says what is wrong with them.

What a damaged image does is in test_decode.py.
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
from vebi.cli.options import ModelOptions
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
DATASET = {
    "variant": "single-6c",
    "images_per_class": 1,
    "size": 48,
    "seed": 0,
    "background": "plain",
    "scene": "plain",
}


@st.composite
def damage(draw) -> Callable[[bytes], bytes]:
    """A few bytes changed, put in or cut out, mostly near the start, where files say what they hold."""
    starts = st.one_of(st.integers(0, 1500), st.integers(0))
    fresh = st.one_of(st.binary(max_size=4), st.sampled_from([b"0", b"-", b"9", b'"', b"[", b"}", b"null", b"\n"]))
    changes = draw(st.lists(st.tuples(starts, st.integers(0, 4), fresh), min_size=1, max_size=4))
    kept = draw(st.one_of(st.just(1.0), st.floats(0, 1)))

    def apply(data: bytes) -> bytes:
        for start, length, put in changes:
            start %= max(1, len(data))
            data = data[:start] + put + data[start + length :]
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
        content = parent = copy.deepcopy(content)
        for k, step in enumerate(steps):
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            key = keys[step % len(keys)]
            if k + 1 < len(steps) and isinstance(parent[key], dict | list) and parent[key]:
                parent = parent[key]
            elif what == "left out":
                del parent[key]
                break
            elif what == "twice" and isinstance(parent, list):
                parent.append(parent[key])
                break
            else:
                parent[key] = value
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
def refused_or_right():
    """Lets a VebiError pass that has something to say."""
    try:
        yield
    except VebiError as error:
        if ": " not in str(error) or "Traceback" in str(error):
            pytest.fail(f"no sentence: {error}")


def examples(count: int):
    return settings(max_examples=count, deadline=None)


@pytest.fixture(scope="module")
def files(tmp_path_factory, toy_module, squares) -> Path:
    """network.py with its weights, a checkpoint, a run of four images per class, and a data set of flowers."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), folder / "w.safetensors")
    torch.save(toy_module.state_dict(), folder / "w.pt")
    torch.manual_seed(0)
    prepare = Preprocess(32, (0.5,) * 3, (0.25,) * 3)
    save_checkpoint(folder / "c.safetensors", FlowerNet(3), "vebi:flowernet", prepare, "abc", {"seed": 0})
    for path in squares.rglob("0[0-3].png"):
        (folder / "images" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "images" / path.parent.name)
    classifier = load_classifier(f"{folder}/network.py:ToyNet", folder / "w.safetensors")
    interpret(classifier, folder / "images", features_per_class=2, batch_size=12, out=folder / "run")
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
def test_shards_of_a_fit_that_is_resumed(files, damaged):
    path = files / "run" / "table" / "shard-00000.safetensors"
    classifier = load_classifier(f"{files}/network.py:ToyNet", files / "w.safetensors")
    result = files / "run" / "interpretation.json"
    kept = {file: file.read_bytes() for file in (result, result.with_suffix(".safetensors"))}
    result.unlink()
    try:
        with changed(path, damaged(path.read_bytes())), refused_or_right(), warnings.catch_warnings():
            warnings.simplefilter("ignore", VebiWarning)  # changed numbers may give other features, or none
            found = interpret(classifier, files / "images", features_per_class=2, batch_size=12, out=files / "run")
            assert found.weights.shape == (3, len(found.features))
            assert np.isfinite(found.weights).all()
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
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        state = load_classifier(f"{files}/network.py:ToyNet", path).model.state_dict()
        assert {k: (v.shape, v.dtype) for k, v in state.items()} == {
            k: (v.shape, v.dtype) for k, v in ToyNet().state_dict().items()
        }
        assert all(value.isfinite().all() for value in state.values())


@examples(80)
@given(damage())
def test_checkpoint(files, damaged):
    path = files / "c.safetensors"
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        found = load_classifier(path)
        scores = found.logits(found.zero_input()).shape[1]
        assert found.spec == "vebi:flowernet"
        assert len(found.class_names or range(scores)) == scores


# --- runs -----------------------------------------------------------------------------------------------------------


def look_at(files: Path) -> None:
    """Loads the run and explains an image by it: all parts must belong together."""
    classifier = run_folder.find_classifier(files / "run", f"{files}/network.py:ToyNet")
    found = load(files / "run", classifier)
    assert found.weights.shape == (len(found.class_names), len(found.features))
    assert found.weights.dtype == np.float64
    assert np.isfinite(found.weights).all()
    diagnostics = found.diagnostics
    for numbers in (diagnostics.gaps, diagnostics.violations):
        assert np.isfinite(numbers).all()
        assert len(numbers) == len(found.class_names)
    assert all(0 <= share <= 1 for share in (diagnostics.accuracy or 0.0, diagnostics.fidelity))
    assert {type(value) for value in diagnostics.complete} == {bool}
    assert list(diagnostics.images_per_class) == list(found.class_names)
    assert {type(value) for value in (*diagnostics.images_per_class.values(), found.settings.batch_size)} == {int}
    assert {type(text) for text in (*diagnostics.notes, *diagnostics.skipped.values(), diagnostics.created)} == {str}
    assert found.settings.class_names == found.class_names
    assert found.settings.mu == found.mu
    assert len(found.mus) == len(found.class_names)
    all_features = [Feature(name, channel) for name, channels in found.layers for channel in range(channels)]
    assert [all_features[column] for column in found.columns] == list(found.features)
    assert {type(feature.channel) for feature in found.features} == {int}
    assert found.class_names == ToyNet.class_names
    assert len(found.exemplars) == len(found.features)
    for exemplar in found.exemplars:
        assert len(exemplar.image_ids) == len(exemplar.spotlights)
        for image in (exemplar.average, *exemplar.spotlights):
            assert image.pixels.ndim == 3
            assert image.pixels.dtype == np.uint8
    explanation = explain(found, files / "images" / "red" / "00.png")
    assert all(e.heatmap.shape == (32, 32) and np.isfinite(e.heatmap).all() for e in explanation.evidence)


def test_a_run_that_is_intact_is_right(files):
    look_at(files)


@pytest.mark.parametrize("name", ["run.json", "interpretation.json", "interpretation.safetensors"])
@examples(100)
@given(damage())
def test_run(files, name, damaged):
    path = files / "run" / name
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        look_at(files)


@pytest.mark.parametrize("name", ["run.json", "interpretation.json"])
@examples(250)
@given(other_values())
def test_values_of_a_run(files, name, altered):
    path = files / "run" / name
    with changed(path, json.dumps(altered(json.loads(path.read_text()))).encode()), refused_or_right():
        look_at(files)


@examples(100)
@given(st.one_of(damage(), other_values()))
def test_a_run_is_resumed_only_where_its_settings_are_equal(files, change):
    path = files / "run" / "run.json"
    before = run_folder.read_settings(files / "run")
    if change.__qualname__.startswith("damage"):
        content = change(path.read_bytes())
    else:
        content = json.dumps(change(json.loads(path.read_text()))).encode()
    with changed(path, content), refused_or_right():
        run_folder.open_run(files / "run", before)
        read = run_folder.read_settings(files / "run")
        for name in ("mu", "class_names", "preprocess", "layers", "signed", "labels", "descriptor", "stability"):
            assert getattr(read, name) == getattr(before, name)
        for name in ("batch_size", "shard_size", "strict"):
            assert getattr(read, name) == getattr(before, name)
        assert (read.model.sha256, read.data.sha256) == (before.model.sha256, before.data.sha256)


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
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        look_at_masks(files)


@examples(150)
@given(other_values())
def test_values_of_a_data_set(files, altered):
    path = files / "flowers" / "dataset.json"
    with changed(path, json.dumps(altered(json.loads(path.read_text()))).encode()), refused_or_right():
        look_at_masks(files)


@examples(150)
@given(damage())
def test_masks_of_flowers(files, damaged):
    path = files / "flowers" / "masks" / "red" / "0.png"
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        look_at_masks(files)


@pytest.mark.parametrize("other", [Image.new("P", (24, 24)), Image.new("RGB", (48, 48)), Image.new("P", (48, 24))])
def test_masks_of_flowers_of_another_kind(files, other):
    """Nothing is wrong with the file, but it is no label image as large as its image."""
    path = files / "flowers" / "masks" / "red" / "0.png"
    with changed(path, path.read_bytes()):
        other.save(path)
        with pytest.raises(InputError, match=rf"0\.png .*\b{other.mode}\b.*{other.width}"):
            look_at_masks(files)


@examples(100)
@given(damage())
def test_masks_of_images(files, damaged):
    """As large as its image, or refused."""
    tree = files / "truth"
    for name in ToyNet.class_names:
        (tree / name).mkdir(parents=True, exist_ok=True)
        draw_square(np.random.default_rng(0), (0, 0, 0)).save(tree / name / "00.png")
    path = tree / "red" / "00.png"
    with changed(path, damaged(path.read_bytes())), refused_or_right():
        mask = find_masks(open_images([files / "images" / "red" / "00.png"], ToyNet.class_names), tree)(0)
        assert mask.shape == (32, 32)
        assert mask.dtype == bool


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
        result = run("layers", "network.py:ToyNet", "--config", "vebi.toml")
        if result.code == 0:
            assert result.out
            assert result.err == ""
        else:
            assert result.code in (2, 3)
            fails(result.code, "layers", "network.py:ToyNet", "--config", "vebi.toml")


@examples(100)
@given(damage())
def test_class_names(files, damaged):
    path = files / "names.txt"
    path.write_bytes(damaged("blau\ngrün\nrot\n".encode()))
    options = dict.fromkeys(("mean", "std", "size", "resize", "interpolation"))
    with refused_or_right():
        found = ModelOptions(classes=str(path), device="cpu", **options).load(f"{files}/network.py:ToyNet")
        assert len(set(found.class_names)) == 3
        assert all(name.strip() for name in found.class_names)
