"""Run folders: who may write into them, and that what they hold is data and never code."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import ToyNet

import vebi
from vebi.errors import RunError, VebiError
from vebi.interpretation import run_folder
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess

SETTINGS = {
    "model": {"spec": "network.py:build", "weights": "/w.safetensors", "sha256": "0" * 64},
    "classes": ["a", "b"],
    "mu": 1.0,
    "layers": [["relu", 8]],
}


# --- claim ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_claimed_once_and_for_the_same_settings(tmp_path):
    folder = tmp_path / "new" / "run"
    assert run_folder.claim(folder, SETTINGS) is False
    assert run_folder.claim(folder, SETTINGS) is False
    (folder / run_folder.RESULT).touch()
    assert run_folder.claim(folder, SETTINGS) is True
    moved = SETTINGS | {"model": SETTINGS["model"] | {"weights": "/elsewhere", "spec": "moved.py:build"}}
    assert run_folder.claim(folder, moved) is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu": 2.0}, "holds a run with mu 1.0, not 2.0: choose another folder"),
        ({"model": {"spec": "", "weights": "", "sha256": "1" * 64}}, "with model-sha256"),
        ({"layers": [["relu", 9]]}, "with layers"),
        ({"new": 1}, "with new null, not 1"),
    ],
)
def test_a_run_of_other_settings_is_left_alone(tmp_path, changes, message):
    run_folder.claim(tmp_path, SETTINGS)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "shard-00000.safetensors").touch()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match=message):
        run_folder.claim(tmp_path, SETTINGS | changes)
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_that_failed_before_it_began_makes_way(tmp_path):
    run_folder.claim(tmp_path, SETTINGS)
    assert run_folder.claim(tmp_path, SETTINGS | {"mu": 2.0}) is False
    assert run_folder.read_settings(tmp_path)["mu"] == 2.0


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds other files and no run"):
        run_folder.claim(tmp_path, SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_while_it_was_claimed_can_be_claimed_again(tmp_path):
    (tmp_path / "run.json.partial").write_text('{"format"')
    assert run_folder.claim(tmp_path, SETTINGS) is False
    assert run_folder.read_settings(tmp_path) == SETTINGS


def test_places_that_cannot_be_a_folder(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        with pytest.raises(RunError, match=f"{place} cannot be used as a folder to write into"):
            run_folder.claim(place, SETTINGS)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RunError, match="permission denied"):
        run_folder.claim(tmp_path / "new", SETTINGS)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"format": "other"}', "\xff", "[" * 100_000])
def test_a_damaged_run_is_not_overwritten(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match="run.json is"):
        run_folder.claim(tmp_path, SETTINGS)
    assert (tmp_path / "run.json").read_text(encoding="latin-1") == content


def test_a_run_without_settings(tmp_path):
    for settings in ({}, {"settings": []}):
        run_folder.write_json(tmp_path / "run.json", {"format": run_folder.FORMAT} | settings)
        with pytest.raises(RunError, match="holds no settings"):
            run_folder.claim(tmp_path, SETTINGS)


# --- the model of a run ---------------------------------------------------------------------------------------------

NETWORK = """
from support import ToyNet

def build():
    return ToyNet()
"""


@pytest.fixture
def files(tmp_path, toy_module):
    """A network file and its weights."""
    (tmp_path / "network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), tmp_path / "w.safetensors")
    return tmp_path


def made(folder: Path, **changes) -> Path:
    """A run folder with just the settings, of a classifier of ``files``."""
    classifier = vebi.load_classifier(f"{folder}/network.py:build", folder / "w.safetensors")
    settings = {
        "model": {"spec": classifier.spec, "weights": classifier.weights, "sha256": classifier.hash()},
        "classes": list(classifier.class_names),
        "preprocess": run_folder.describe_preprocess(classifier.preprocess),
    }
    run_folder.claim(folder / "run", settings | changes)
    return folder / "run"


def test_a_file_is_executed_only_where_the_user_names_it(files):
    run, spec = made(files), f"{files}/network.py:build"
    (files / "network.py").write_text(f"open({str(files / 'trapped')!r}, 'w').close()\n{NETWORK}")
    with pytest.raises(RunError, match=f"the model of {run} is {spec}, and a run never names code.*--model"):
        run_folder.find_classifier(run)
    assert not (files / "trapped").exists()
    found = run_folder.find_classifier(run, spec)  # weights are found by their path
    assert (files / "trapped").exists()
    assert found.class_names == ToyNet.class_names
    assert run_folder.find_classifier(run, spec, str(files / "w.safetensors")).hash() == found.hash()


@pytest.mark.parametrize("spec", ["timm:evil.py:build", "torchvision:evil.py:build", "vebi:evil.py:build", "evil.py:b"])
def test_no_spelling_in_a_run_leads_to_a_file(files, monkeypatch, spec):
    run = made(files, model={"spec": spec, "weights": None, "sha256": "0" * 64})
    monkeypatch.chdir(files)
    Path(spec.rpartition(":")[0]).write_text("open('trapped', 'w')")
    for package in ("timm", "torchvision"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(VebiError):
        run_folder.find_classifier(run)
    assert not (files / "trapped").exists()


def test_a_built_in_model_is_found_again(tmp_path):
    torch.manual_seed(0)
    save_file(FlowerNet(3).state_dict(), tmp_path / "w.safetensors")
    classifier = vebi.load_classifier(
        "vebi:flowernet", tmp_path / "w.safetensors", size=64, class_names=["x", "y", "z"]
    )
    model = {"spec": classifier.spec, "weights": classifier.weights, "sha256": classifier.hash()}
    settings = {"model": model, "classes": ["x", "y", "z"]}
    run_folder.claim(tmp_path / "run", settings | {"preprocess": run_folder.describe_preprocess(classifier.preprocess)})
    found = run_folder.find_classifier(tmp_path / "run")
    assert (found.hash(), found.preprocess, found.class_names) == (
        classifier.hash(),
        classifier.preprocess,
        ("x", "y", "z"),
    )


def test_other_weights_are_refused(files, toy_module):
    run = made(files)
    other = {name: value + 1 for name, value in toy_module.state_dict().items()}
    save_file(other, files / "w.safetensors")
    with pytest.raises(RunError, match="made with other weights .* than those of the model given"):
        run_folder.find_classifier(run, f"{files}/network.py:build")


def test_another_preparation_is_refused(files, toy_module):
    settings = run_folder.read_settings(made(files))
    run_folder.check_model(settings, Classifier(toy_module, Preprocess(32, ToyNet.mean, ToyNet.std)))
    with pytest.raises(RunError, match="made with the preparation"):
        run_folder.check_model(settings, Classifier(toy_module, Preprocess(40, ToyNet.mean, ToyNet.std)))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": 3},
        {"model": {}},
        {"model": {"spec": None, "weights": None}},
        {"model": {"spec": None, "weights": None, "sha256": 3}},
        {"model": {"spec": 3, "weights": None, "sha256": ""}},
        {"model": {"spec": "x.py:f", "weights": ["w"], "sha256": ""}},
        {"classes": None},
        {"preprocess": []},
        {"preprocess": {"size": 8}},
        {"preprocess": {"size": 8, "resize": None, "mean": ["x"], "std": ["y"]}},
        {"preprocess": {"size": 0, "resize": None, "mean": [0], "std": [1]}},
        {"preprocess": {"size": "8", "resize": None, "mean": [0], "std": [1]}},
    ],
)
def test_damaged_settings(files, changes):
    with pytest.raises(RunError, match="is damaged"):
        run_folder.find_classifier(made(files, **changes), f"{files}/network.py:build")


def test_what_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "no"):
        with pytest.raises(RunError, match="is no run folder: give the folder that `vebi fit` wrote"):
            run_folder.find_classifier(folder)


def test_json_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    run_folder.write_json(path, {"format": run_folder.FORMAT, "n": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run_folder.write_json(path, {"format": run_folder.FORMAT, "n": 2})
    assert json.loads(path.read_text())["n"] == 1


def test_other_class_names_are_refused(files, toy_module):
    run = made(files, **{})
    settings = run_folder.read_settings(run)
    names = tuple(settings["classes"])
    turned = Classifier(toy_module, Preprocess(32, ToyNet.mean, ToyNet.std), names[::-1])
    with pytest.raises(RunError, match="give the run's names in its order"):
        run_folder.check_model(settings, turned)
