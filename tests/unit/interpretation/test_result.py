"""What is saved is what is loaded, to the bit, and only by the model it belongs to."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.errors import RunError, UsageError
from vebi.explanation.explain import explain
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation, load
from vebi.models.preprocess import Preprocess


@pytest.fixture
def found(toy, squares):
    return interpret(toy, squares, mu=1.75)


def assert_equal(one: Interpretation, other: Interpretation):
    for name in ("classes", "features", "columns", "mu", "layers", "descriptor", "provenance"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("weights", "gaps"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and a.shape == b.shape and (a == b).all(), name
    for a, b in zip(one.exemplars, other.exemplars, strict=True):
        assert (a.feature, a.count, a.image_ids) == (b.feature, b.count, b.image_ids)
        assert a.crops.shape == b.crops.shape and (a.crops == b.crops).all() and (a.average == b.average).all()


def test_round_trip(found, tmp_path):
    found.save(tmp_path / "run")
    assert_equal(load(tmp_path / "run"), found)
    assert len(list((tmp_path / "run" / "features").glob("*.png"))) == len(found.features)
    assert not list((tmp_path / "run").rglob("*.partial"))
    again = load(tmp_path / "run")
    again.save(tmp_path / "copy")
    assert_equal(load(tmp_path / "copy"), found)
    found.save(tmp_path / "run")  # the same settings: written again


def test_round_trip_of_arrays_in_any_memory_order(found, tmp_path):
    """safetensors writes memory as it lies: columns first, reversed and strided arrays must come back as they were."""
    rng = np.random.default_rng(0)
    strange = replace(
        found,
        weights=np.asfortranarray(rng.random((3, len(found.features)))),
        gaps=rng.random(6)[::-2],
        exemplars=tuple(
            replace(
                e,
                average=rng.integers(0, 256, (3, 5, 4), np.uint8).transpose(2, 1, 0),
                crops=np.asfortranarray(rng.integers(0, 256, (2, 4, 5, 3), np.uint8)),
            )
            for e in found.exemplars
        ),
    )
    strange.save(tmp_path)
    assert_equal(load(tmp_path), strange)


def test_round_trip_without_any_feature(found, tmp_path):
    empty = replace(found, features=(), columns=(), exemplars=(), weights=np.zeros((3, 0)), stability=None)
    empty.save(tmp_path)
    assert_equal(load(tmp_path), empty)


def test_a_feature_that_never_fires_has_no_crops(found, tmp_path):
    shown = (
        Exemplar(Feature("a", 0), 0, (), None, {}, np.zeros((5, 6, 3), np.uint8), np.zeros((0, 5, 6, 3), np.uint8)),
    )
    one = replace(
        found, features=(Feature("a", 0),), columns=(0,), exemplars=shown, weights=np.ones((3, 1)), stability=None
    )
    one.save(tmp_path)
    assert_equal(load(tmp_path), one)


def test_features_of_every_name_get_a_picture_of_their_own(found, tmp_path):
    names = ["relu", "layer.0.relu", "layer.0.relu#2", "a/b"]
    features = tuple(Feature(name, 7) for name in names)
    exemplars = tuple(replace(found.exemplars[0], feature=f) for f in features)
    n = len(names)
    many = replace(
        found, features=features, columns=tuple(range(n)), exemplars=exemplars, weights=np.ones((3, n)), stability=None
    )
    many.save(tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == n


def test_selected(found):
    made = replace(found, features=tuple(Feature("a", i) for i in range(4)), weights=np.array([[0, -3.0, 1, 2]] * 3))
    assert made.selected("red") == [(Feature("a", 1), -3.0), (Feature("a", 3), 2.0), (Feature("a", 2), 1.0)]
    assert found.exemplar(found.features[-1]) is found.exemplars[-1]


def test_bound_to_its_model_only(found, toy, tmp_path):
    found.save(tmp_path)
    assert load(tmp_path, classifier=toy).require_classifier() is toy
    torch.manual_seed(1)
    other = replace(toy, module=type(toy.module)().eval())
    with pytest.raises(RunError, match="made with other weights"):
        load(tmp_path, classifier=other)
    sized = replace(toy, preprocess=Preprocess(64, (0.5,) * 3, (0.25,) * 3))
    with pytest.raises(RunError, match="made with the preparation"):
        load(tmp_path, classifier=sized)


def test_unbound(found, squares, tmp_path):
    found.save(tmp_path)
    unbound = load(tmp_path)
    with pytest.raises(UsageError, match=r"not bound to a model: load it with vebi.load\(run, classifier=...\)"):
        explain(unbound, squares / "red" / "00.png")


def test_folders_that_are_no_run(found, toy, squares, tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        found.save(tmp_path)
    interpret(toy, squares, mu=1.0).save(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run with mu 1.0, not 1.75"):
        found.save(tmp_path / "run")


def damage_json(path, change):
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.pop("classes"),
        lambda held: held.update(features=[{"layer": "relu"}]),
        lambda held: held.update(features=held["features"] * 2),
        lambda held: held.update(features=7),
        lambda held: held.update(descriptor={"sharpness": 3}),
        lambda held: held.update(format="vebi-run-0"),
        lambda held: held.update(layers=[1, 2]),
        lambda held: held["layers"][0].__setitem__(1, 10**12),  # a count in one of its two places
        lambda held: held.pop("provenance"),
    ],
)
def test_damaged_results(found, tmp_path, change):
    found.save(tmp_path)
    damage_json(tmp_path / "interpretation.json", change)
    with pytest.raises(RunError, match="damaged|format"):
        load(tmp_path)


def test_damaged_arrays(found, tmp_path):
    found.save(tmp_path)
    path = tmp_path / "interpretation.safetensors"
    arrays = load_file(path)
    save_file({k: v for k, v in arrays.items() if k != "crops.0"}, path)
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)


def test_nothing_in_a_run_is_executable(found, tmp_path):
    found.save(tmp_path)
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".json", ".safetensors", ".png"}
    assert isinstance(load(tmp_path).descriptor, Descriptor)


def test_names_that_are_not_there(toy, squares):
    import vebi

    found = vebi.interpret(toy, squares, mu=1)
    with pytest.raises(UsageError, match="no class 'nope'"):
        found.selected("nope")
    with pytest.raises(UsageError, match="no class selected the feature relu1:99"):
        found.exemplar(vebi.Feature("relu1", 99))


def spoiled(path, part, value):
    """A path or stability with one array changed; a function changes a copy of it."""
    array = getattr(path, part).copy()
    value(array)
    return replace(path, **{part: array})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("mus", lambda a: a.fill(0)),
        ("mus", lambda a: a.sort(0) or np.copyto(a, a[::-1].copy())),
        ("candidates", lambda a: a.fill(False)),
        ("explained", lambda a: a.fill(1.5)),
        ("explained", lambda a: a.fill(-np.inf)),
        ("agreement", lambda a: a.fill(7)),
        ("agreement", lambda a: a.fill(np.inf)),
        ("owners", lambda a: a.fill(0) or None),
        ("owners", lambda a: np.copyto(a, a + 3)),
        ("columns", lambda a: np.copyto(a, a + 20)),
        ("enters", lambda a: a.fill(-1)),
        ("enters", lambda a: a.fill(np.nan)),
        ("weights", lambda a: a.fill(-1)),
        ("weights", lambda a: a.fill(np.nan)),
        ("ends", lambda a: a.fill(np.nan)),
    ],
)
def test_a_path_that_cannot_be(found, tmp_path, part, value):
    found.save(tmp_path / "right")
    load(tmp_path / "right")
    replace(found, path=spoiled(found.path, part, value)).save(tmp_path / "wrong")
    with pytest.raises(RunError, match="path cannot be"):
        load(tmp_path / "wrong")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: replace(s, halves=0),
        lambda s: spoiled(s, "shares", lambda a: a.fill(1.5)),
        lambda s: spoiled(s, "joint", lambda a: a.fill(0)),
        lambda s: spoiled(s, "joint", lambda a: a.fill(1)),
        lambda s: replace(s, stand_ins=s.stand_ins[:-1]),
        lambda s: replace(s, stand_ins=(((3, 5.0),), *s.stand_ins[1:])),
        lambda s: replace(s, stand_ins=(((20, 0.97),), *s.stand_ins[1:])),
    ],
)
def test_a_stability_that_cannot_be(found, tmp_path, wrong):
    replace(found, stability=wrong(found.stability)).save(tmp_path)
    with pytest.raises(RunError, match="stability cannot be"):
        load(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("violations", []), ("violations", ["x"] * 3)])
def test_certificates_that_cannot_be(found, tmp_path, name, value):
    replace(found, provenance={**found.provenance, name: value}).save(tmp_path / "a")
    with pytest.raises(RunError, match=f"{name} cannot be"):
        load(tmp_path / "a")
    replace(found, mu=3.0).save(tmp_path / "b")
    with pytest.raises(RunError, match="mu cannot be"):
        load(tmp_path / "b")
    replace(found, gaps=np.full(3, -5.0)).save(tmp_path / "c")
    with pytest.raises(RunError, match="gaps cannot be"):
        load(tmp_path / "c")
