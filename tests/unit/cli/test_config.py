"""A file of options has what could have been typed, and the command line takes precedence."""

import json
from pathlib import Path

import pytest
from cli_support import FIT, MODEL, fails, vebi

pytestmark = pytest.mark.usefixtures("workspace")


def settings() -> dict:
    """The settings of the run in ``run``."""
    return json.loads(Path("run/run.json").read_text())["settings"]


def config(text: str) -> tuple[str, str]:
    Path("vebi.toml").write_text(text, encoding="utf-8")
    return ("--config", "vebi.toml")


def test_values_of_every_type():
    """Text, whole and other numbers, flags, lists of numbers and of names, arguments; dashes and underscores."""
    options = config("""
        [fit]
        spec = "network.py:unnamed"
        data = "images"
        weights = "w.safetensors"
        out = "run"
        mu = 1.5
        batch-size = 8
        unit_norm = true
        signed = true
        strict = false
        labels = "true"
        mean = [0.5, 0.25, 0.5]
        std = "0.5,0.25,1"
        classes = ["blue", "green", "red"]
        layers = ["relu1", "conv*"]

        [explain]
        rule = "gradient"
    """)
    outcome = vebi("fit", *options)
    stored = settings()
    assert stored["layers"] == [["conv1", 8], ["relu1", 8], ["conv2", 12]]
    assert stored["class_names"] == ["blue", "green", "red"]
    assert stored["preprocess"]["mean"] == [0.5, 0.25, 0.5]
    assert stored["preprocess"]["std"] == [0.5, 0.25, 1]
    plain = {name: stored[name] for name in ("mu", "batch_size", "signed", "strict", "labels")}
    assert plain == {"mu": 1.5, "batch_size": 8, "signed": True, "strict": False, "labels": "true"}
    assert stored["descriptor"]["unit_norm"] is True
    assert "class" in outcome.out


def test_the_command_line_comes_first():
    options = config("""
        [fit]
        mu = 9
        layers = "relu1"
        weights = "missing.safetensors"
        labels = "neither"
    """)
    vebi(*FIT, "--out", "run", "--layers", "relu", "--labels", "true", *options)
    stored = settings()
    assert (stored["mu"], stored["layers"], stored["labels"]) == (1.0, [["relu", 12]], "true")


def test_arguments_of_the_command_line_come_first():
    options = config("[layers]\nspec = 'missing.py:Net'\nweights = 'w.safetensors'")
    assert "conv1" in vebi("layers", "network.py:Net", *options).out
    assert "missing.py does not exist" in fails(3, "layers", *options)


def test_a_single_value_is_a_list_of_one():
    output = vebi("layers", *MODEL, *config("[layers]\nlayers = 'relu'\nsize = 16\njson = true")).out
    assert [(layer["name"], layer["height"]) for layer in json.loads(output)] == [("relu", 4)]


@pytest.mark.usefixtures("workspace_run")
def test_many_arguments():
    options = config("""
        [explain]
        run = "run"
        images = ["images/red/00.png", "images/blue/01.png"]
        model = "network.py:Net"
        out = "out"
        max-features = 1
        class = "green"
        stride-fix = "none"
        json = true

        [report]
        run = "run"
        model = "network.py:Net"
        class = ["red", "blue"]
        out = "two.html"
    """)
    rows = json.loads(vebi("explain", *options).out)
    assert [row["image"] for row in rows] == ["images/red/00.png", "images/blue/01.png"]
    assert {row["target"] for row in rows} == {"green"}
    assert all(len(row["evidence"]) <= 1 for row in rows)
    vebi("report", *options)
    assert Path("two.html").exists()


@pytest.mark.usefixtures("workspace_run")
@pytest.mark.parametrize("spelling", ["features", "max-features", "max_features"])
def test_every_spelling_of_an_option(spelling):
    """``features`` is that of earlier versions."""
    options = config(f"""
        [explain]
        run = "run"
        images = "images/red/00.png"
        model = "network.py:Net"
        out = "out"
        {spelling} = 1
    """)
    for words, number in (((), 1), (("--features", 2), 2), (("--max-features", 4), 4)):
        vebi("explain", *options, *words)
        assert json.loads(Path("out/explanations.json").read_text())["provenance"]["options"]["max_features"] == number


def test_one_option_in_two_spellings():
    sentence = fails(
        2, "explain", "run", "images", "--out", "out", *config("[explain]\nmax-features = 1\nfeatures = 2")
    )
    assert "'features' in [explain]" in sentence
    sentence = fails(2, "layers", *MODEL, *config("[layers]\nsize = 16\nbatch-size = 2"))
    assert "'batch-size' in [layers]" in sentence
    assert " layers, weights, mean, std, size, " in sentence  # those that there are


def test_tables_of_other_commands_are_left_alone():
    """But a command that does not exist is no table of any."""
    assert "conv1" in vebi("layers", *MODEL, *config("[fit]\nmu = 0\nanything = 'goes'")).out
    assert "'trian' at its top" in fails(2, "layers", *MODEL, *config("[trian]\nepochs = 1"))


def test_an_empty_file_changes_nothing():
    assert "conv1" in vebi("layers", *MODEL, *config("")).out


def test_text_is_utf8():
    Path("bildär.txt").write_text("blau\ngrün\nrot\n", encoding="utf-8")
    fit = ("fit", "network.py:unnamed", "images", "--weights", "w.safetensors", "--out", "run")
    assert "blau, grün, rot" in fails(3, *fit, *config("[fit]\nclasses = 'bildär.txt'"))


def test_values_of_the_file_are_checked_as_if_typed():
    """The sentence names the file of the value, since nobody has typed it."""
    for text, facts in [
        ("[fit]\nmu = 0", ["mu is 0.0"]),
        ("[fit]\nmu = nan", ["mu is nan"]),
        ("[fit]\nmu = [1, 2]", ["'--mu'", "above 0", "auto", "1,2 (in the file of --config)"]),
        ("[fit]\nmu = true", ["mu in [fit] of vebi.toml is True", "number"]),
        ("[fit]\nbatch_size = 0", ["batch_size is 0"]),
        ("[fit]\nlabels = 3", ["labels is '3'"]),
        ("[fit]\nsigned = 'yes'", ["signed in [fit] of vebi.toml is 'yes'", "true or false"]),
        ("[fit]\nlayers = [['relu']]", ["layers in [fit] of vebi.toml is [['relu']]"]),
    ]:
        sentence = fails(2, "fit", *MODEL, "images", "--out", "run", *config(text))
        assert [fact for fact in facts if fact not in sentence] == [], sentence
        assert not Path("run").exists()
