"""`vebi fit`: the result as data and for a person, and what it refuses."""

import json
from pathlib import Path

import pytest
from cli_support import FIT, fails, json_of, truncate, vebi

pytestmark = pytest.mark.usefixtures("workspace")

UNNAMED = ("fit", "network.py:unnamed", "images", "--weights", "w.safetensors", "--mu", 1, "--out", "run")


def settings() -> dict:
    """The settings of the run in ``run``."""
    return json.loads(Path("run/run.json").read_text())["settings"]


def test_fit():
    result = json_of(*FIT, "--out", "run")
    assert result["mu"] == 1
    assert result["accuracy"] == 1
    scores = json_of("path", "run")["scores"]
    assert (result["r2"], result["fidelity"]) == (scores["r2"], scores["fidelity"])
    assert list(result["classes"]) == ["blue", "green", "red"]
    assert result["run"] == "run"
    assert result["skipped"] == {}
    assert result["notes"] == []
    for selection in result["classes"].values():
        features = selection["features"]
        assert features
        assert selection["gap"] <= 1e-6
        assert selection["violation"] <= 1e-6
        assert all(-1 <= feature["consistency"] <= 1 for feature in features)
        assert all(0 <= f["selection_probability"] <= f["group_probability"] <= 1 for f in features)
        assert all(0.95 < other["correlation"] <= 1 for f in features for other in f["correlated_features"])
    assert json_of(*FIT, "--out", "run") == result  # the same settings give the same result
    outcome = vebi(*FIT, "--out", "run")
    assert "relu" in outcome.out
    assert "accuracy 100.0%" in outcome.err
    assert "32 x 32 px, bilinear, mean 0.5 0.5 0.5" in outcome.err
    assert "50 subsamples" in outcome.err
    held_out = (
        f"R² {100 * scores['r2']:.1f} ± {100 * scores['r2_error']:.1f} %, fidelity {100 * scores['fidelity']:.1f}"
    )
    assert f"on held-out images (5 folds): {held_out}" in outcome.err


def test_the_keys_of_the_result():
    result = json_of(*FIT, "--out", "run")
    keys = {"run", "mu", "features_per_class", "accuracy", "r2", "fidelity", "preprocess", "skipped", "notes"}
    assert set(result) == keys | {"classes"}
    selection = result["classes"]["red"]
    assert set(selection) == {"mu", "gap", "violation", "features"}
    assert set(selection["features"][0]) == {
        "feature",
        "weight",
        "consistency",
        "selection_probability",
        "group_probability",
        "correlated_features",
    }


def test_fit_records_the_layers_that_are_named():
    result = json_of(*FIT, "--out", "run", "--layers", "relu1", "--layers", "conv*", "--batch-size", 7)
    layers = {f["feature"].partition(":")[0] for entry in result["classes"].values() for f in entry["features"]}
    assert layers <= {"relu1", "conv1", "conv2"}
    assert settings()["layers"] == [["conv1", 8], ["relu1", 8], ["conv2", 12]]


def test_fit_with_every_option():
    options = (
        "--signed",
        "--labels",
        "true",
        "--energy",
        "squared",
        "--unit-norm",
        "--scaling",
        "clr",
        "--strict",
        "--device",
        "cpu",
    )
    preprocess = ("--size", 24, "--resize", 28, "--interpolation", "nearest", "--mean", "0,0,0", "--std", "1,1,1")
    result = json_of(*FIT, "--out", "run", *options, *preprocess)
    assert result["preprocess"] == {
        "size": 24,
        "resize": 28,
        "interpolation": "nearest",
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
    }
    stored = settings()
    plain = {name: stored[name] for name in ("mu", "signed", "labels", "strict")}
    assert plain == {"mu": 1.0, "signed": True, "labels": "true", "strict": True}
    assert stored["descriptor"] == {"energy": "squared", "unit_norm": True, "scaling": "clr"}


def test_skipped_images_are_noted():
    truncate("images/red/00.png", 200)
    Path("images/red/01.png").write_text("no image")
    outcome = vebi(*FIT, "--out", "run", "--json")
    (line,) = outcome.err.splitlines()
    assert line.startswith("note: 2 of 72 ")
    assert "images/red/00.png" in line
    assert "red/01.png" in line
    assert list(json.loads(outcome.out)["skipped"]) == ["red/00.png", "red/01.png"]


def test_class_names_from_the_folders_are_noted():
    (line,) = [line for line in vebi(*UNNAMED).err.splitlines() if line.startswith("note: ")]
    assert "the folders" in line


@pytest.mark.parametrize("classes", ["blue, green,red", "names.txt"])
def test_class_names_from_an_option_or_a_file(classes):
    Path("names.txt").write_text("blue\n green \n\nred\n")
    outcome = vebi(*UNNAMED, "--classes", classes, "--json")
    assert list(json.loads(outcome.out)["classes"]) == ["blue", "green", "red"]
    assert outcome.err == ""


def test_many_class_names_are_no_name_of_a_file():
    """A list of 1000 names is longer than a path may be."""
    names = ",".join(f"class number {k}" for k in range(1000))
    assert "3 class scores, but 1000 class names" in fails(3, *UNNAMED, "--classes", names)


def test_a_finished_run_is_left_alone_by_other_settings():
    vebi(*FIT, "--out", "run")
    before = Path("run/interpretation.json").read_bytes()
    assert "mu 1.0, not 2.0" in fails(3, *FIT, "--out", "run", "--mu", "2")
    assert Path("run/interpretation.json").read_bytes() == before


def test_fit_with_a_chosen_mu():
    line = (*FIT[: FIT.index("--mu")], "--mu", "auto", "--out", "auto")
    result, path = json_of(*line), json_of("path", "auto")
    assert result["mu"] == path["one_se_mu"] == path["mu"]
    assert path["chosen"] == "auto"
    assert f"mu = {result['mu']:g}: " in vebi(*line).err


def test_fit_with_a_number_of_features():
    line = FIT[: FIT.index("--mu")]
    for options, count in (((), 3), (("--features", 1), 1), (("--features", 2, "--paper"), 2)):
        result = json_of(*line, *options, "--out", f"run-{count}", "--no-stability")
        assert result["mu"] is None
        assert result["features_per_class"] == count
        assert all(len(selection["features"]) <= count for selection in result["classes"].values())
        path = json_of("path", f"run-{count}")
        assert path["features_per_class"] == count
        assert 0 <= path["scores"]["fidelity"] <= 1
        assert path["scores"]["mu"] is None
        assert f"this run, {count} feature" in vebi("path", f"run-{count}").err
        assert [c["mu"] for c in path["classes"].values()] == [c["mu"] for c in result["classes"].values()]
    stored = json.loads(Path("run-2/run.json").read_text())["settings"]
    assert stored["descriptor"] == {"energy": "squared", "unit_norm": True, "scaling": "plain"}
    assert "give one of them" in fails(2, *FIT, "--features", 2, "--out", "both")
    assert "give it alone" in fails(2, *FIT, "--paper", "--scaling", "log", "--out", "both")
    assert "scaling is 'none'" in fails(2, *FIT, "--scaling", "none", "--out", "none")


def test_fit_without_stability():
    result = json_of(*FIT, "--out", "run", "--no-stability")
    for selection in result["classes"].values():
        for feature in selection["features"]:
            assert feature["selection_probability"] is None
            assert feature["group_probability"] is None
            assert feature["correlated_features"] is None
    assert "subsamples" not in vebi(*FIT, "--out", "run", "--no-stability").err
    assert "stability false, not true" in fails(3, *FIT, "--out", "run")


NAMES = ("a blue one", "a green one", "a red one")


@pytest.fixture
def folders_of_ids(workspace) -> Path:
    """The folders of the classes are called by ids; a list has the ids and the names."""
    ids = ("n01440764", "n01443537", "n01484850")
    for folder, number in zip(("blue", "green", "red"), ids, strict=True):
        (workspace / "images" / folder).rename(workspace / "images" / number)
    path = workspace / "classes.txt"
    path.write_text("".join(f"{number}\t{name}\n" for number, name in zip(ids, NAMES, strict=True)))
    return path


def test_folders_called_by_ids_have_the_names_of_a_list(folders_of_ids):
    result = json_of(*FIT, "--classes", folders_of_ids, "--out", "run")
    assert tuple(result["classes"]) == NAMES
    assert result["accuracy"] == 1
    assert json_of(*FIT, "--classes", folders_of_ids, "--out", "run") == result
    model = ("--model", "network.py:unnamed", "--weights", "w.safetensors")
    vebi("report", "run", *model, "--out", "r.html", "--class", "n01440764")
    page = Path("r.html").read_text()
    assert "a blue one" in page
    assert "n01440764" not in page.replace("n01440764/", "")
    assert list(json_of("path", "run", "--class", "n01440764")["classes"]) == ["a blue one"]
    (row,) = json_of("explain", "run", "images/n01484850/00.png", *model, "--out", "e", "--class", "n01440764")
    assert (row["prediction"], row["target"]) == ("a red one", "a blue one")


def test_lists_of_ids_that_cannot_be_used(folders_of_ids):
    text = folders_of_ids.read_text()
    folders_of_ids.write_text(text.replace("n01440764\t", "n01440764"))
    assert "not 'n01440764a blue one'" in fails(3, *FIT, "--classes", folders_of_ids, "--out", "run")
    folders_of_ids.write_text(text.replace("n01484850", "n01440764"))
    sentence = fails(2, *FIT, "--classes", folders_of_ids, "--out", "run")
    assert "'n01440764', 0 (n01440764 a blue one) and 2 (n01440764 a red one)" in sentence
    folders_of_ids.write_text(text.replace("n01484850", "n01484851"))
    assert "or n01440764, n01443537, n01484851, without n01484850" in fails(
        3, *FIT, "--classes", folders_of_ids, "--out", "run"
    )
    folders_of_ids.write_text(text.replace("a blue one", "n01484850"))
    sentence = fails(2, *FIT, "--classes", folders_of_ids, "--out", "run")
    assert "'n01484850' is the id of one class and the name of another one" in sentence
    assert "two classes are called 'x', 0 and 2" in fails(2, *FIT, "--classes", "x,y,x", "--out", "run")


def test_classes_with_one_name_are_told_apart_by_their_ids(folders_of_ids):
    folders_of_ids.write_text(folders_of_ids.read_text().replace("red", "blue").replace("\t", " "))
    outcome = vebi(*FIT, "--classes", folders_of_ids, "--out", "run", "--json")
    assert "n01440764 and n01484850 are all called 'a blue one': their ids are put behind it" in outcome.err
    assert list(json.loads(outcome.out)["classes"])[::2] == ["a blue one (n01440764)", "a blue one (n01484850)"]


def test_a_selection_of_which_the_stability_cannot_be_known_is_not_unstable():
    for path in sorted(Path("images/green").iterdir())[1:]:
        path.unlink()
    outcome = vebi(*FIT, "--out", "run", "--json")
    (feature, *_) = json.loads(outcome.out)["classes"]["green"]["features"]
    assert feature["selection_probability"] is feature["group_probability"] is None
    said = vebi(*FIT, "--out", "run").err
    assert "of which it cannot be known, as there are too few images" in said
    vebi("report", "run", "--model", "network.py:Net", "--weights", "w.safetensors", "--out", "r.html")
    page = Path("r.html").read_text()
    assert "selection probability not known: this class" in page
    assert [set(json_of("path", "run")["classes"][name]["r2"] or ()) == set() for name in ("blue", "green")] == [
        False,
        True,
    ]
    others = [f for name in ("blue", "red") for f in json.loads(outcome.out)["classes"][name]["features"]]
    assert all(0 <= f["selection_probability"] <= 1 for f in others)
