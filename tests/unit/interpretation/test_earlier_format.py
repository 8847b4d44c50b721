"""Runs of the formats vebi-run-3 and vebi-run-4 are read, bound, and resumed as if they had been written now."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors
from support import write_unsigned

import vebi
from vebi.activations.descriptors import Descriptor
from vebi.errors import RunError
from vebi.interpretation import fit, run_folder
from vebi.interpretation.encoded_image import split_images
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import load

MU = 1.75
PAPER, L2 = Descriptor.paper(), Descriptor("l2", False, "plain")
NETWORK = "from support import ToyNet\n"

# --- the layouts of those formats ------------------------------------------------------------------------------------


def fourth_settings(settings):
    """Settings as they lay in a run.json of the format vebi-run-4: one mu for all, and no scale of columns."""
    kept = {name: value for name, value in settings.items() if name != "features_per_class"}
    return kept | {"descriptor": {name: settings["descriptor"][name] for name in ("energy", "unit_norm")}}


def make_fourth(folder):
    """Rewrites a run as vebi-run-4 had it; returns the folder."""
    run, result, arrays = (folder / f for f in ("run.json", "interpretation.json", "interpretation.safetensors"))
    content = json.loads(run.read_text())
    run.write_text(json.dumps({"format": "vebi-run-4", "settings": fourth_settings(content["settings"])}))
    if result.exists():
        content = json.loads(result.read_text())
        settings = fourth_settings(content["settings"])
        changed = {"format": "vebi-run-4", "settings": settings, "descriptor": settings["descriptor"]}
        content |= changed | {"mu": content.pop("mus")[0]}
        stored = load_file(arrays)
        images = iter([np.ascontiguousarray(image.pixels) for image in split_images(stored)])
        for k, entry in enumerate(content["features"]):
            new = entry["exemplars"]
            next(images)  # the average was as large as a crop
            stored[f"crops.{k}"] = np.stack([next(images) for _ in new["image_ids"]])
            stored[f"average.{k}"] = stored[f"crops.{k}"][0]
            entry["exemplars"] = {name: new[name] for name in ("count", "image_ids", "consistency", "predicted")}
        write_unsigned(result, content)
        new = ("scaling.", "path.fit_", "image", "layer_shares")
        save_file({name: array for name, array in stored.items() if not name.startswith(new)}, arrays)
    return folder


def without_what_was_not_recorded(interpretation):
    """Exemplars whose fields that came later are those that are put in their place."""
    exemplars = tuple(
        replace(e, positions=None, receptive_field=(1, 1), average=e.spotlights[0], contrast=0.0)
        for e in interpretation.exemplars
    )
    return replace(interpretation, exemplars=exemplars, layer_shares=np.zeros(interpretation.layer_shares.shape))


def earlier_settings(settings):
    """Settings as they lay in a run.json of the format vebi-run-3."""
    kept = (
        "model",
        "preprocess",
        "layers",
        "mu",
        "signed",
        "labels",
        "stability",
        "batch_size",
        "shard_size",
        "strict",
    )
    return {name: settings[name] for name in kept} | {
        "classes": settings["class_names"],
        "data": {
            "images": settings["data"]["n_images"],
            "sha256": settings["data"]["sha256"],
            "place": settings["data"]["folder"],
        },
        "energy": settings["descriptor"]["energy"],
        "unit_norm": settings["descriptor"]["unit_norm"],
    }


def earlier_result(content):
    """An interpretation.json of the format vebi-run-3."""
    diagnostics, stability = content["diagnostics"], content["stability"]
    return {
        "format": "vebi-run-3",
        "classes": content["class_names"],
        "features": content["features"],
        "mu": content["mu"],
        "layers": content["layers"],
        "descriptor": content["descriptor"],
        "stability": stability and {"halves": stability["n_subsamples"], "stand_ins": stability["correlated_features"]},
        "provenance": {
            "settings": earlier_settings(content["settings"]),
            "created": diagnostics["created"],
            "versions": diagnostics["versions"],
            "images_per_class": diagnostics["images_per_class"],
            "complete": diagnostics["complete"],
            "violations": diagnostics["violations"],
            "skipped": diagnostics["skipped"],
            "notes": diagnostics["notes"],
            "agreement": diagnostics["fidelity"],
            "accuracy": diagnostics["accuracy"],
        },
    }


EARLIER_ARRAYS = {
    "path.r2": "path.explained",
    "path.fidelity": "path.agreement",
    "path.class_index": "path.owners",
    "path.entry_mu": "path.enters",
    "path.end_mu": "path.ends",
    "stability.selection_probability": "stability.shares",
    "stability.group_probability": "stability.joint",
}


def make_earlier(folder):
    """Rewrites a run as vebi-run-3 had it; returns the folder."""
    make_fourth(folder)
    run, result, arrays = (folder / f for f in ("run.json", "interpretation.json", "interpretation.safetensors"))
    content = json.loads(run.read_text())
    run.write_text(json.dumps({"format": "vebi-run-3", "settings": earlier_settings(content["settings"])}))
    if result.exists():
        content = json.loads(result.read_text())
        result.write_text(json.dumps(earlier_result(content)))
        gaps = np.array(content["diagnostics"]["gaps"])
        held = {EARLIER_ARRAYS.get(name, name): array for name, array in load_file(arrays).items()}
        save_file(held | {"gaps": gaps}, arrays)
    return folder


def test_the_layout_is_that_of_the_version_before(run):
    make_earlier(run)
    content = json.loads((run / "interpretation.json").read_text())
    assert set(content) == {"classes", "descriptor", "features", "format", "layers", "mu", "provenance", "stability"}
    settings = {"model", "classes", "preprocess", "data", "layers", "mu", "signed", "labels", "energy", "unit_norm"}
    settings |= {"stability", "batch_size", "shard_size", "strict"}
    assert set(content["provenance"]["settings"]) == settings
    arrays = load_file(run / "interpretation.safetensors")
    parts = ("mus", "candidates", "explained", "agreement", "owners", "columns", "enters", "weights", "ends")
    features = range(len(content["features"]))
    assert set(arrays) == {
        "weights",
        "gaps",
        "stability.shares",
        "stability.joint",
        *(f"path.{part}" for part in parts),
        *(f"average.{k}" for k in features),
        *(f"crops.{k}" for k in features),
    }


# --- finished runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory, toy_module, squares):
    """A network, its weights, and a run of it."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "network.py").write_text(NETWORK)
    save_tensors(toy_module.state_dict(), folder / "w.safetensors")
    classifier = vebi.load_classifier(f"{folder}/network.py:ToyNet", folder / "w.safetensors")
    interpret(classifier, squares, mu=MU, descriptor=PAPER, out=folder / "run")
    return folder


@pytest.fixture
def run(written, tmp_path):
    return shutil.copytree(written / "run", tmp_path / "run")


@pytest.mark.parametrize("make", [make_earlier, make_fourth])
def test_an_earlier_run_is_loaded_as_one_written_now(assert_equal, run, make):
    now = load(run)
    assert now.stability is not None
    earlier = load(make(run))
    assert all(e.contrast > 0 for e in earlier.exemplars)
    assert_equal(without_what_was_not_recorded(earlier), without_what_was_not_recorded(now))
    assert load(run).fingerprint() == now.fingerprint()


@pytest.mark.filterwarnings("ignore::vebi.errors.VebiWarning")  # signed labels of few images warn
def test_the_same_without_stability_and_with_options(assert_equal, toy, squares, tmp_path):
    options = {"mu": "auto", "stability": False, "signed": True, "descriptor": L2, "labels": "true"}
    now = interpret(toy, [(path, path.parent.name) for path in squares.rglob("*.png")], out=tmp_path, **options)
    earlier = load(make_earlier(tmp_path))
    assert_equal(without_what_was_not_recorded(earlier), without_what_was_not_recorded(now))
    assert (earlier.settings.mu, earlier.settings.data.folder, earlier.stability) == ("auto", None, None)


def test_an_earlier_run_finds_and_binds_its_model(written, run):
    classifier = run_folder.find_classifier(make_earlier(run), f"{written}/network.py:ToyNet")
    assert load(run, classifier).require_classifier() is classifier
    with pytest.raises(RunError, match="--model"):
        run_folder.find_classifier(run)
    other = replace(classifier, model=type(classifier.model)().eval())
    with pytest.raises(RunError, match=other.sha256()[:12]):
        load(run, other)


def test_an_earlier_run_can_be_saved(assert_equal, run, tmp_path):
    earlier = load(make_earlier(run))
    for folder in (tmp_path / "copy", run):
        earlier.save(folder)
        assert json.loads((folder / "interpretation.json").read_text())["format"] == run_folder.FORMAT
        assert_equal(load(folder), earlier)


def test_a_finished_earlier_run_is_not_fitted_again(assert_equal, written, run, squares):
    classifier = run_folder.find_classifier(make_earlier(run), f"{written}/network.py:ToyNet")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    steps = []
    found = interpret(classifier, squares, mu=MU, descriptor=PAPER, out=run, progress=lambda *step: steps.append(step))
    assert not steps
    assert_equal(*map(without_what_was_not_recorded, (found, load(written / "run"))))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    with pytest.raises(RunError, match=r"mu 1\.75, not 2\.0"):
        interpret(classifier, squares, mu=2.0, descriptor=PAPER, out=run)


def test_an_earlier_run_need_not_say_where_its_images_were(run):
    make_earlier(run)
    for name, keys in (("run.json", ["settings"]), ("interpretation.json", ["provenance", "settings"])):
        content = json.loads((run / name).read_text())
        settings = content
        for key in keys:
            settings = settings[key]
        del settings["data"]["place"]
        write_unsigned(run / name, content)
    assert load(run).settings.data.folder is None
    assert run_folder.read_settings(run).data.folder is None


# --- unfinished runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["descriptors", "exemplars"])
def test_an_unfinished_earlier_run_is_resumed(assert_equal, toy, squares, tmp_path, monkeypatch, stage):
    monkeypatch.setattr(fit, "SHARD", 16)
    options = {"mu": MU, "batch_size": 8, "descriptor": PAPER}

    def interrupt(name, done, total):
        if name == stage and done >= 16:  # a shard at least is written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpret(toy, squares, out=tmp_path / "run", progress=interrupt, **options)
    make_earlier(tmp_path / "run")
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "table").iterdir()}
    assert shards
    with pytest.raises(RunError, match="not finished"):
        load(tmp_path / "run")
    resumed = interpret(toy, squares, out=tmp_path / "run", **options)
    assert all(path.stat().st_mtime_ns == time for path, time in shards.items())
    undisturbed = interpret(toy, squares, **options)
    for name in ("class_names", "features", "columns", "weights", "mus", "exemplars", "mu_path", "stability"):
        assert_equal(getattr(resumed, name), getattr(undisturbed, name), name)
    assert_equal(load(tmp_path / "run"), resumed)


def test_an_unfinished_earlier_run_of_other_settings_is_left_alone(toy, squares, tmp_path):
    interpret(toy, squares, mu=MU, descriptor=PAPER, out=tmp_path)
    for name in ("interpretation.json", "interpretation.safetensors"):
        (tmp_path / name).unlink()
    before = (make_earlier(tmp_path) / "run.json").read_bytes()
    for options, difference in (({"signed": True}, "signed"), ({"descriptor": L2}, "descriptor-energy")):
        with pytest.raises(RunError, match=difference):
            interpret(toy, squares, **{"mu": MU, "descriptor": PAPER, "out": tmp_path} | options)
    assert (tmp_path / "run.json").read_bytes() == before


# --- damaged runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("classes"),
        lambda content: content.pop("provenance"),
        lambda content: content.pop("stability"),
        lambda content: content.update(provenance=3),
        lambda content: content.update(provenance=[]),
        lambda content: content.update(stability=[]),
        lambda content: content.update(format="vebi-run-5"),
        lambda content: content["provenance"].pop("violations"),
        lambda content: content["provenance"].pop("settings"),
        lambda content: content["provenance"].update(settings="x"),
        lambda content: content["provenance"].update(accuracy="1"),
        lambda content: content["provenance"].update(agreement=2),
        lambda content: content["provenance"].update(images_per_class=["blue", "green", "red"]),
        lambda content: content["provenance"]["settings"].pop("energy"),
        lambda content: content["provenance"]["settings"].update(new=1),
        lambda content: content["provenance"]["settings"].update(data=None),
        lambda content: content["provenance"]["settings"].update(classes=3),
        lambda content: content["provenance"]["settings"]["data"].update(place=3),
        lambda content: content["provenance"]["settings"]["layers"][0].__setitem__(1, 10**12),
        lambda content: content["stability"].update(halves="50"),
        lambda content: content["stability"].update(stand_ins=3),
        lambda content: content["stability"].pop("stand_ins"),
    ],
)
def test_damaged_earlier_results(run, change, without_checks_of_types):
    path = make_earlier(run) / "interpretation.json"
    content = json.loads(path.read_text())
    change(content)
    write_unsigned(path, content)
    with pytest.raises(RunError, match="damaged"):
        load(run)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("gaps", None),
        ("gaps", np.zeros(2)),
        ("gaps", np.zeros((3, 1))),
        ("gaps", np.zeros(())),
        ("gaps", np.zeros(3, np.float32)),
        ("gaps", np.full(3, np.nan)),
        ("gaps", np.full(3, -5.0)),
        ("path.explained", None),
        ("path.agreement", np.full((5, 1), 7.0)),
        ("path.owners", None),
        ("path.enters", None),
        ("path.ends", np.full(3, np.nan)),
        ("stability.shares", None),
        ("stability.joint", np.zeros((3, 1))),
    ],
)
def test_damaged_earlier_arrays(run, name, array, without_checks_of_types):
    path = make_earlier(run) / "interpretation.safetensors"
    arrays = load_file(path)
    del arrays[name]
    save_file(arrays if array is None else arrays | {name: array}, path)
    with pytest.raises(RunError, match="damaged"):
        load(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [("classes", None), ("data", {}), ("data", []), ("energy", 3), ("unit_norm", "yes"), ("mu", "x"), ("new", 1)],
)
def test_damaged_earlier_settings(written, run, key, value, without_checks_of_types):
    path = make_earlier(run) / "run.json"
    content = json.loads(path.read_text())
    content["settings"][key] = value
    write_unsigned(path, content)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        run_folder.find_classifier(run, f"{written}/network.py:ToyNet")
