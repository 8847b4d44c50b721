"""Run folders: who may write into them, and that what they hold is data and never code."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import ToyNet, settings_of, write_unsigned

import vebi
from vebi.activations.descriptors import Descriptor
from vebi.errors import RunError, VebiError
from vebi.files import write_json
from vebi.interpretation import run_folder
from vebi.interpretation.settings import DataSource, FitSettings, ModelSource
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess

SETTINGS = FitSettings(
    model=ModelSource("network.py:build", "/w.safetensors", "0" * 64),
    class_names=("a", "b"),
    preprocess=Preprocess(32, (0.5,) * 3, (0.25,) * 3),
    data=DataSource(12, "2" * 64, "/images"),
    layers=(("relu", 8),),
    mu=1.0,
    features_per_class=None,
    signed=False,
    labels="predicted",
    descriptor=Descriptor(),
    stability=True,
    batch_size=32,
    shard_size=512,
    strict=False,
)


def changed(path: Path, *keys, value=None) -> None:
    """Replaces a setting in a run.json, or adds it."""
    content = json.loads(path.read_text())
    parent = content["settings"]
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = value
    write_unsigned(path, content)


# --- who may write ---------------------------------------------------------------------------------------------------


def test_a_folder_is_opened_again_for_the_same_settings(tmp_path):
    folder = tmp_path / "new" / "run"
    assert run_folder.open_run(folder, SETTINGS) is False
    assert run_folder.open_run(folder, SETTINGS) is False
    (folder / run_folder.RESULT).touch()
    assert run_folder.open_run(folder, SETTINGS) is True
    moved = replace(
        SETTINGS,
        model=replace(SETTINGS.model, weights="/elsewhere", spec="moved.py:build"),
        data=replace(SETTINGS.data, folder=None),
    )
    assert run_folder.open_run(folder, moved) is True


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"mu": 2.0}, r"\bmu 1\.0, not 2\.0\b"),
        ({"mu": "auto"}, r"\bmu 1\.0, not \"auto\""),
        ({"model": ModelSource("", "", "1" * 64)}, "model-sha256"),
        ({"class_names": ("b", "a")}, "class_names"),
        ({"preprocess": Preprocess(40, (0.5,) * 3, (0.25,) * 3)}, "preprocess-size 32, not 40"),
        ({"data": DataSource(12, "3" * 64, "/images")}, "data-sha256"),
        ({"data": DataSource(13, "2" * 64, "/images")}, "data-n_images 12, not 13"),
        ({"layers": (("relu", 9),)}, "layers"),
        ({"signed": True}, "signed false, not true"),
        ({"labels": "true"}, "labels"),
        ({"descriptor": Descriptor("squared")}, "descriptor-energy"),
        ({"descriptor": Descriptor(unit_norm=True)}, "descriptor-unit_norm"),
        ({"descriptor": Descriptor(scaling="log")}, "descriptor-scaling"),
        ({"stability": False}, "stability"),
        ({"batch_size": 3}, "batch_size 32, not 3"),
        ({"shard_size": 16}, "shard_size 512, not 16"),
        ({"strict": True}, "strict"),
    ],
)
def test_a_run_of_other_settings_is_left_alone(tmp_path, changes, difference):
    run_folder.open_run(tmp_path, SETTINGS)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "shard-00000.safetensors").touch()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match=difference):
        run_folder.open_run(tmp_path, replace(SETTINGS, **changes))
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_with_a_setting_that_is_unknown_is_left_alone(tmp_path):
    run_folder.open_run(tmp_path, SETTINGS)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "shard-00000.safetensors").touch()
    changed(tmp_path / "run.json", "new", value=1)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match="'new'"):
        run_folder.open_run(tmp_path, SETTINGS)
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_that_failed_before_it_began_makes_way(tmp_path):
    run_folder.open_run(tmp_path, SETTINGS)
    assert run_folder.open_run(tmp_path, replace(SETTINGS, mu=2.0)) is False
    assert run_folder.read_settings(tmp_path).mu == 2.0


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=f"{tmp_path} holds other files"):
        run_folder.open_run(tmp_path, SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_while_it_was_begun_can_be_begun_again(tmp_path):
    (tmp_path / "run.json.partial").write_text('{"format"')
    assert run_folder.open_run(tmp_path, SETTINGS) is False
    assert run_folder.read_settings(tmp_path) == SETTINGS


def test_paths_that_cannot_be_a_folder(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(RunError, match=f"{path} "):
            run_folder.open_run(path, SETTINGS)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RunError, match="permission denied"):
        run_folder.open_run(tmp_path / "new", SETTINGS)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"format": "other"}', "\xff", "[" * 100_000])
def test_a_damaged_run_is_not_overwritten(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match=r"run\.json is"):
        run_folder.open_run(tmp_path, SETTINGS)
    assert (tmp_path / "run.json").read_text(encoding="latin-1") == content


def test_a_run_without_settings(tmp_path):
    for settings in ({}, {"settings": []}, {"settings": None}, {"settings": {}}):
        for name in run_folder.FORMATS:
            write_json(tmp_path / "run.json", {"format": name} | settings)
            with pytest.raises(RunError, match=r"run\.json is damaged"):
                run_folder.open_run(tmp_path, SETTINGS)


def test_settings_are_read_as_they_were_written():
    for settings in (SETTINGS, replace(SETTINGS, mu="auto", model=ModelSource(None, None, ""), layers=())):
        assert FitSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


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
    run_folder.open_run(folder / "run", settings_of(classifier, **changes))
    return folder / "run"


def test_a_file_is_executed_only_where_the_user_names_it(files):
    run, spec = made(files), f"{files}/network.py:build"
    (files / "network.py").write_text(f"open({str(files / 'trapped')!r}, 'w').close()\n{NETWORK}")
    with pytest.raises(RunError, match=f"{run} is {spec}, .*--model"):
        run_folder.find_classifier(run)
    assert not (files / "trapped").exists()
    found = run_folder.find_classifier(run, spec)  # weights are found by their path
    assert (files / "trapped").exists()
    assert found.class_names == ToyNet.class_names
    assert run_folder.find_classifier(run, spec, str(files / "w.safetensors")).sha256() == found.sha256()


@pytest.mark.parametrize("spec", ["timm:evil.py:build", "torchvision:evil.py:build", "vebi:evil.py:build", "evil.py:b"])
def test_no_spelling_in_a_run_leads_to_a_file(files, monkeypatch, spec):
    run = made(files, model=ModelSource(spec, None, "0" * 64))
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
    run_folder.open_run(tmp_path / "run", settings_of(classifier))
    found = run_folder.find_classifier(tmp_path / "run")
    assert (found.sha256(), found.preprocess, found.class_names) == (
        classifier.sha256(),
        classifier.preprocess,
        ("x", "y", "z"),
    )


def test_other_weights_are_refused(files, toy_module):
    run = made(files)
    recorded = run_folder.read_settings(run).model.sha256
    other = {name: value + 1 for name, value in toy_module.state_dict().items()}
    save_file(other, files / "w.safetensors")
    with pytest.raises(RunError, match=recorded[:12]):
        run_folder.find_classifier(run, f"{files}/network.py:build")


def test_other_preprocessing_is_refused(files, toy_module):
    settings = run_folder.read_settings(made(files))
    run_folder.check_model(settings, Classifier(toy_module, Preprocess(32, ToyNet.mean, ToyNet.std)))
    with pytest.raises(RunError, match=r"\b32\b.*\b40\b"):
        run_folder.check_model(settings, Classifier(toy_module, Preprocess(40, ToyNet.mean, ToyNet.std)))


def test_other_class_names_are_refused(files, toy_module):
    settings = run_folder.read_settings(made(files))
    turned = Classifier(toy_module, Preprocess(32, ToyNet.mean, ToyNet.std), settings.class_names[::-1])
    with pytest.raises(RunError, match=r'\["blue", "green", "red"\].*\["red", "green", "blue"\]'):
        run_folder.check_model(settings, turned)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("model",), 3),
        (("model",), {}),
        (("model",), {"spec": None, "weights": None}),
        (("model",), {"spec": None, "weights": None, "sha256": 3}),
        (("model",), {"spec": 3, "weights": None, "sha256": ""}),
        (("model",), {"spec": "x.py:f", "weights": ["w"], "sha256": ""}),
        (("model", "name"), "x"),
        (("class_names",), None),
        (("class_names",), "abc"),
        (("class_names", 0), 3),
        (("preprocess",), []),
        (("preprocess",), {"size": 8}),
        (("preprocess",), {"size": 8, "resize": None, "mean": ["x"], "std": ["y"]}),
        (("preprocess",), {"size": 0, "resize": None, "mean": [0], "std": [1]}),
        (("preprocess",), {"size": "8", "resize": None, "mean": [0], "std": [1]}),
        (("preprocess", "size"), 32.0),
        (("preprocess", "size"), True),
        (("preprocess", "resize"), 40.5),
        (("preprocess", "interpolation"), ["bilinear"]),
        (("preprocess", "mean", 0), True),
        (("data",), []),
        (("data", "n_images"), 1.5),
        (("data", "n_images"), -1),
        (("data", "sha256"), None),
        (("data", "folder"), 3),
        (("layers",), 3),
        (("layers",), "ab"),
        (("layers",), {"ab": 3}),
        (("layers",), [["relu"]]),
        (("layers",), ["ab"]),
        (("layers",), [[3, 8]]),
        (("layers",), [["relu", "8"]]),
        (("layers",), [["relu", -8]]),
        (("mu",), None),
        (("mu",), "10"),
        (("mu",), True),
        (("mu",), [1.0]),
        (("signed",), 1),
        (("labels",), "guessed"),
        (("labels",), ["predicted"]),
        (("descriptor",), None),
        (("descriptor",), "squared"),
        (("descriptor", "energy"), "max"),
        (("descriptor", "energy"), {}),
        (("descriptor", "unit_norm"), 1),
        (("descriptor", "scaling"), "none"),
        (("features_per_class",), 3),
        (("features_per_class",), "3"),
        (("descriptor", "sharpness"), 1),
        (("stability",), "yes"),
        (("batch_size",), "32"),
        (("shard_size",), 0.5),
        (("strict",), None),
    ],
)
def test_damaged_settings(files, keys, value, without_checks_of_types):
    run = made(files, layers=(("relu", 12),))
    changed(run / "run.json", *keys, value=value)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        run_folder.find_classifier(run, f"{files}/network.py:build")


@pytest.mark.parametrize("key", sorted(SETTINGS.to_dict()))
def test_settings_that_are_missing(files, key):
    run = made(files)
    content = json.loads((run / "run.json").read_text())
    del content["settings"][key]
    write_unsigned(run / "run.json", content)
    with pytest.raises(RunError, match=f"damaged.*{key}"):
        run_folder.find_classifier(run, f"{files}/network.py:build")


def test_what_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "no"):
        with pytest.raises(RunError, match=f"{folder} is no run folder"):
            run_folder.find_classifier(folder)


def test_json_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"format": run_folder.FORMAT, "n": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"format": run_folder.FORMAT, "n": 2})
    assert json.loads(path.read_text())["n"] == 1
