"""What is saved is what is loaded, to the bit, and only by the model it belongs to."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from support import write_unsigned

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.errors import RunError, UsageError
from vebi.explanation.explain import explain
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import load
from vebi.lasso import Scaling
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


@pytest.fixture(scope="module")
def found(toy_module, squares):
    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    return interpret(toy, squares, mu=1.75, descriptor=Descriptor.paper())


def test_round_trip(assert_equal, found, tmp_path):
    found.save(tmp_path / "run")
    assert_equal(load(tmp_path / "run"), found)
    assert len(list((tmp_path / "run" / "features").glob("*.webp"))) == len(found.features)
    assert not list((tmp_path / "run").rglob("*.partial"))
    loaded = load(tmp_path / "run")
    loaded.save(tmp_path / "copy")
    assert_equal(load(tmp_path / "copy"), found)
    found.save(tmp_path / "run")  # the same settings: written again


@pytest.mark.parametrize("names", [("a/b", "a_b"), ("RELU", "relu"), ("x:1", "x-1")])
def test_every_feature_has_a_contact_sheet_of_its_own(found, tmp_path, names):
    features = tuple(Feature(names[k % 2], k // 2) for k in range(len(found.features)))
    exemplars = tuple(replace(e, feature=f) for e, f in zip(found.exemplars, features, strict=True))
    replace(found, features=features, exemplars=exemplars).save(tmp_path / "run")
    stems = [path.stem.lower() for path in (tmp_path / "run" / "features").iterdir()]
    assert len(set(stems)) == len(features) > 1


@pytest.mark.parametrize("given", ["gr\u00fcn", "gru\u0308n"])
@pytest.mark.parametrize("name", ["gr\u00fcn", "gru\u0308n"])
def test_a_class_is_known_whatever_its_letters_are_made_of(found, given, name):
    named = replace(found, class_names=("blue", name, "red"))
    assert named.find_class_names([given]) == [name]
    assert named.select_features(given) == found.select_features("green")


def test_round_trip_of_arrays_in_any_memory_order(assert_equal, found, tmp_path):
    """safetensors writes memory as it lies: columns first, reversed and strided arrays must come back as they were."""
    rng = np.random.default_rng(0)
    strange = replace(
        found,
        weights=np.asfortranarray(rng.random((3, len(found.features))) / len(found.features)),
        stability=None,
        mu_path=replace(found.mu_path, end_mu=rng.random(6)[::-2]),
        exemplars=tuple(
            replace(
                e,
                average=EncodedImage.encode(rng.integers(0, 256, (3, 5, 4), np.uint8).transpose(2, 1, 0)),
                image_ids=("a", "b"),
                spotlights=tuple(
                    map(EncodedImage.encode, np.asfortranarray(rng.integers(0, 256, (2, 4, 5, 3), np.uint8)))
                ),
            )
            for e in found.exemplars
        ),
    )
    strange.save(tmp_path)
    assert_equal(load(tmp_path), strange)


def test_round_trip_without_any_feature(assert_equal, found, tmp_path):
    scaling = Scaling(np.zeros(0), np.ones(0), np.zeros(3))
    empty = replace(found, features=(), columns=(), exemplars=(), weights=np.zeros((3, 0)), stability=None)
    empty = replace(empty, scaling=scaling)
    empty.save(tmp_path)
    assert_equal(load(tmp_path), empty)


def test_a_feature_that_never_fires_has_no_spotlights(assert_equal, found, tmp_path):
    shown = (
        Exemplar(
            feature=Feature("a", 0),
            positions=(1, 1),
            receptive_field=(5, 6),
            count=0,
            predicted={},
            image_ids=(),
            spotlights=(),
            average=EncodedImage.encode(np.zeros((5, 6, 3), np.uint8)),
            contrast=0.0,
            consistency=None,
        ),
    )
    scaling = Scaling(np.zeros(1), np.ones(1), np.zeros(3))
    one = replace(
        found, features=(Feature("a", 0),), columns=(0,), exemplars=shown, weights=np.ones((3, 1)), stability=None
    )
    one = replace(one, scaling=scaling)
    one.save(tmp_path)
    assert_equal(load(tmp_path), one)


def test_features_of_every_name_get_a_contact_sheet_of_their_own(found, tmp_path):
    names = ["relu", "layer.0.relu", "layer.0.relu#2", "a/b"]
    features = tuple(Feature(name, 7) for name in names)
    exemplars = tuple(replace(found.exemplars[0], feature=f) for f in features)
    n = len(names)
    many = replace(found, features=features, columns=tuple(range(n)), exemplars=exemplars, stability=None)
    many = replace(many, weights=np.ones((3, n)) / n)
    many.save(tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == n


def test_select_features(found):
    made = replace(found, features=tuple(Feature("a", i) for i in range(4)), weights=np.array([[0, -3.0, 1, 2]] * 3))
    assert made.select_features("red") == [(Feature("a", 1), -3.0), (Feature("a", 3), 2.0), (Feature("a", 2), 1.0)]
    assert found.exemplar(found.features[-1]) is found.exemplars[-1]


def test_bound_to_its_model_only(found, toy, tmp_path):
    found.save(tmp_path)
    assert load(tmp_path, classifier=toy).require_classifier() is toy
    torch.manual_seed(1)
    other = replace(toy, model=type(toy.model)().eval())
    with pytest.raises(RunError, match=f"{toy.sha256()[:12]}.*{other.sha256()[:12]}"):
        load(tmp_path, classifier=other)
    sized = replace(toy, preprocess=Preprocess(64, (0.5,) * 3, (0.25,) * 3))
    with pytest.raises(RunError, match=r"\b32\b.*\b64\b"):
        load(tmp_path, classifier=sized)


def test_unbound(found, squares, tmp_path):
    found.save(tmp_path)
    unbound = load(tmp_path)
    with pytest.raises(UsageError, match=r"vebi.load\(run, classifier=...\)"):
        explain(unbound, squares / "red" / "00.png")


def test_folders_that_are_no_run(found, toy, squares, tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path} is no run"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=f"{tmp_path} holds other files"):
        found.save(tmp_path)
    interpret(toy, squares, mu=1.0, descriptor=Descriptor.paper()).save(tmp_path / "run")
    with pytest.raises(RunError, match=r"mu 1\.0, not 1\.75"):
        found.save(tmp_path / "run")


def test_nothing_in_a_run_is_executable(found, tmp_path):
    found.save(tmp_path)
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".json", ".safetensors", ".webp"}
    assert isinstance(load(tmp_path).descriptor, Descriptor)


def test_names_that_are_not_there(toy, squares):
    import vebi

    found = vebi.interpret(toy, squares, mu=1)
    with pytest.raises(UsageError, match="'nope'"):
        found.select_features("nope")
    with pytest.raises(UsageError, match="'nope'"):
        found.feature_stability("nope", found.features[0])
    with pytest.raises(UsageError, match="relu1:99"):
        found.exemplar(vebi.Feature("relu1", 99))


# --- damaged results ------------------------------------------------------------------------------------------------


def damage_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    write_unsigned(path, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("class_names"),
        lambda content: content.update(features=[{"layer": "relu"}]),
        lambda content: content.update(features=content["features"] * 2),
        lambda content: content.update(features=7),
        lambda content: content.update(descriptor={"sharpness": 3}),
        lambda content: content.update(descriptor={"energy": "l2", "unit_norm": True}),
        lambda content: content.update(format="vebi-run-0"),
        lambda content: content.update(format="vebi-run-3"),
        lambda content: content.update(format=[]),
        lambda content: content.update(layers=[1, 2]),
        lambda content: content["layers"][0].__setitem__(1, 10**12),  # a count in one of its two places
        lambda content: content["settings"]["layers"][0].__setitem__(1, 10**12),
        lambda content: content.pop("settings"),
        lambda content: content.pop("diagnostics"),
        lambda content: content["settings"].update(new=1),
        lambda content: content["diagnostics"].update(new=1),
    ],
)
def test_damaged_results(found, tmp_path, change):
    found.save(tmp_path)
    damage_json(tmp_path / "interpretation.json", change)
    with pytest.raises(RunError, match=r"damaged|format"):
        load(tmp_path)


def is_refused(folder):
    """Whether the run in a folder is refused in a sentence; any other error goes through."""
    try:
        load(folder)
    except RunError as error:
        return ": " in str(error)
    return False


def values_in(content, path=()):
    """The path of every value in a JSON document, of lists only the first element."""
    yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from values_in(value, (*path, key))
    elif isinstance(content, list) and content:
        yield from values_in(content[0], (*path, 0))


def with_value(content, path, value):
    """A copy of a JSON document with one value replaced."""
    changed = json.loads(json.dumps(content))
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


#: None stands where something may be unknown.
MAY_BE_NONE = {
    ("stability",),
    ("features", 0, "exemplars", "consistency"),
    ("features", 0, "exemplars", "positions"),
    ("diagnostics", "accuracy"),
    ("settings", "model", "spec"),
    ("settings", "model", "weights"),
    ("settings", "model", "scores"),
    ("settings", "model", "activations"),
    ("settings", "data", "folder"),
    ("settings", "preprocess", "resize"),
    ("settings", "features_per_class"),
}


@pytest.mark.parametrize(
    "value", [None, True, -1, pytest.param(10**400, id="huge"), "x", [], {}, [None], [[]], {"x": None}]
)
def test_every_value_of_another_type_is_found(found, tmp_path, value, without_checks_of_types):
    """Each value in interpretation.json, replaced by one of another type, makes a damaged run and no other error."""
    found.save(tmp_path)
    path = tmp_path / "interpretation.json"
    content = json.loads(path.read_text())
    del content["sha256"], content["arrays"]
    for place in list(values_in(content))[1:]:
        present = content
        for key in place:
            present = present[key]
        if of_the_same_type(value, present) or (value is None and place in MAY_BE_NONE):
            continue
        write_unsigned(path, with_value(content, place, value))
        assert is_refused(tmp_path), place


def of_the_same_type(value, present):
    """Whether a value could stand in the place of another one."""
    if isinstance(value, bool) or isinstance(present, bool) or value is None:
        return isinstance(value, bool) and isinstance(present, bool)
    if isinstance(value, int) and isinstance(present, int | float):
        return True
    if present is None:
        return isinstance(value, str) or value == 10**400  # of a path, or the side of an image
    if isinstance(value, dict) and isinstance(present, dict):
        return value == {}
    return type(value) is type(present) and value in ([], "x")


def test_damaged_arrays(found, tmp_path):
    found.save(tmp_path)
    path = tmp_path / "interpretation.safetensors"
    arrays = load_file(path)
    save_file({k: v for k, v in arrays.items() if k != "images"}, path)
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)


@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a[::-1].copy(), lambda a: np.append(a, a[-1:])])
@pytest.mark.parametrize("name", ["images", "image_ends"])
def test_damaged_images(found, tmp_path, name, change):
    found.save(tmp_path)
    path = tmp_path / "interpretation.safetensors"
    arrays = load_file(path)
    save_file(arrays | {name: change(arrays[name])}, path)
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)


def test_an_image_whose_bytes_are_changed_within_is_one_sentence(found, tmp_path):
    """Of a run of an earlier version, whose arrays have no checksum."""
    found.save(tmp_path)
    path = tmp_path / "interpretation.safetensors"
    arrays = load_file(path)
    arrays["images"][12:60] ^= 0xFF  # the first image, behind its header
    save_file(arrays, path)
    result = tmp_path / "interpretation.json"
    write_unsigned(result, json.loads(result.read_text()))
    damaged = load(tmp_path).exemplars[0].average
    with pytest.raises(RunError, match=r"^an image of the run is damaged"):
        assert damaged.pixels.size


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 1), (3, 1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_arrays_of_another_shape_or_type(found, tmp_path, shape, dtype, without_checks_of_types):
    found.save(tmp_path)
    path = tmp_path / "interpretation.safetensors"
    arrays = load_file(path)
    for name, array in arrays.items():
        if (array.shape, array.dtype) == (shape, dtype):
            continue
        save_file(arrays | {name: np.zeros(shape, dtype)}, path)
        assert is_refused(tmp_path), name


def spoiled(parent, part, change):
    """A path or stability with one array changed; a function changes a copy of it."""
    array = getattr(parent, part).copy()
    change(array)
    return replace(parent, **{part: array})


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("mus", lambda a: a.fill(0)),
        ("mus", lambda a: a.sort(0) or np.copyto(a, a[::-1].copy())),
        ("candidates", lambda a: a.fill(False)),
        ("r2", lambda a: a.fill(1.5)),
        ("r2", lambda a: a.fill(-np.inf)),
        ("fidelity", lambda a: a.fill(7)),
        ("fidelity", lambda a: a.fill(np.inf)),
        ("class_index", lambda a: a.fill(0) or None),
        ("class_index", lambda a: np.copyto(a, a + 3)),
        ("columns", lambda a: np.copyto(a, a + 20)),
        ("entry_mu", lambda a: a.fill(-1)),
        ("entry_mu", lambda a: a.fill(np.nan)),
        ("weights", lambda a: a.fill(-1)),
        ("weights", lambda a: a.fill(np.nan)),
        ("end_mu", lambda a: a.fill(np.nan)),
    ],
)
def test_a_path_that_cannot_be(found, tmp_path, part, change):
    found.save(tmp_path / "right")
    load(tmp_path / "right")
    replace(found, mu_path=spoiled(found.mu_path, part, change)).save(tmp_path / "wrong")
    with pytest.raises(RunError, match="path cannot be"):
        load(tmp_path / "wrong")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: replace(s, n_subsamples=0),
        lambda s: spoiled(s, "selection_probability", lambda a: a.fill(1.5)),
        lambda s: spoiled(s, "group_probability", lambda a: a.fill(0)),
        lambda s: spoiled(s, "group_probability", lambda a: a.fill(1)),
        lambda s: replace(s, correlated_features=s.correlated_features[:-1]),
        lambda s: replace(s, correlated_features=(((3, 5.0),), *s.correlated_features[1:])),
        lambda s: replace(s, correlated_features=(((20, 0.97),), *s.correlated_features[1:])),
    ],
)
def test_a_stability_that_cannot_be(found, tmp_path, wrong):
    replace(found, stability=wrong(found.stability)).save(tmp_path)
    with pytest.raises(RunError, match="stability cannot be"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("violations", ()),
        ("violations", ("x",) * 3),
        ("violations", (float("nan"),) * 3),
        ("gaps", (-5.0,) * 3),
        ("gaps", (float("inf"),) * 3),
        ("gaps", (0.0,) * 2),
        ("complete", (True,) * 2),
        ("complete", (1,) * 3),
        ("accuracy", 1.5),
        ("accuracy", "x"),
        ("fidelity", -0.5),
        ("fidelity", None),
        ("images_per_class", {"red": 1, "green": 1, "blue": 1}),
        ("images_per_class", {"blue": 1, "green": 1, "red": -1}),
        ("images_per_class", ["blue", "green", "red"]),
        ("skipped", []),
        ("skipped", {"x.png": 3}),
        ("notes", (3,)),
        ("created", 3),
        ("versions", {"python": None}),
    ],
)
def test_diagnostics_that_cannot_be(found, tmp_path, name, value, without_checks_of_types):
    replace(found, diagnostics=replace(found.diagnostics, **{name: value})).save(tmp_path)
    with pytest.raises(RunError, match=f"{name} cannot be"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"mus": (3.0,) * 3}, "mus"),
        ({"mus": (1.75,)}, "mus"),
        ({"scaling": Scaling(np.zeros(1), np.ones(1), np.zeros(3))}, "scaling"),
        ({"weights": None}, "weights"),
        ({"class_names": ("blue", "green", "green")}, "class_names"),
        ({"class_names": ("red", "green", "blue")}, "class_names"),
    ],
)
def test_fields_that_do_not_belong_together(found, tmp_path, changes, name):
    if name == "weights":
        changes = {"weights": np.full(found.weights.shape, np.nan)}
    replace(found, **changes).save(tmp_path)
    with pytest.raises(RunError, match=f"{name}.* cannot be"):
        load(tmp_path)


def test_columns_that_do_not_belong_to_the_features(found, toy, tmp_path):
    replace(found, columns=found.columns[::-1]).save(tmp_path / "a")
    with pytest.raises(RunError, match="columns"):
        load(tmp_path / "a", toy)
    replace(found, columns=(20, *found.columns[1:])).save(tmp_path / "b")
    with pytest.raises(RunError, match="columns cannot be"):
        load(tmp_path / "b")
    replace(found, columns=(found.columns[1], *found.columns[1:])).save(tmp_path / "c")
    with pytest.raises(RunError, match="columns cannot be"):
        load(tmp_path / "c")
