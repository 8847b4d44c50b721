"""A file of options says what could have been typed, and the command line comes first."""

import json
from pathlib import Path

import pytest
from cli_support import FIT, MODEL, fails, vebi

pytestmark = pytest.mark.usefixtures("here")


def settings() -> dict:
    """What the run in ``run`` was fitted with."""
    return json.loads(Path("run/run.json").read_text())["settings"]


def config(text: str) -> tuple[str, str]:
    Path("vebi.toml").write_text(text, encoding="utf-8")
    return ("--config", "vebi.toml")


def test_values_of_every_type():
    """Text, whole and other numbers, flags, lists of numbers and of names, arguments; dashes and underscores."""
    options = config("""
        [fit]
        spec = "network.py:unnamed"
        data = "pictures"
        weights = "w.safetensors"
        out = "run"
        mu = 1.5
        batch-size = 8
        no_unit_norm = true
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
    told = vebi("fit", *options)
    held = settings()
    assert held["layers"] == [["conv1", 8], ["relu1", 8], ["conv2", 12]] and held["classes"] == ["blue", "green", "red"]
    assert held["preprocess"]["mean"] == [0.5, 0.25, 0.5] and held["preprocess"]["std"] == [0.5, 0.25, 1]
    plain = {name: held[name] for name in ("mu", "batch_size", "unit_norm", "signed", "strict", "labels")}
    assert plain == dict(mu=1.5, batch_size=8, unit_norm=False, signed=True, strict=False, labels="true")
    assert "class" in told.out


def test_the_command_line_comes_first():
    options = config("""
        [fit]
        mu = 9
        layers = "relu1"
        weights = "missing.safetensors"
        labels = "neither"
    """)
    vebi(*FIT, "--out", "run", "--layers", "relu", "--labels", "true", *options)
    held = settings()
    assert (held["mu"], held["layers"], held["labels"]) == (1.0, [["relu", 12]], "true")


def test_arguments_of_the_command_line_come_first():
    options = config("[layers]\nspec = 'missing.py:Net'\nweights = 'w.safetensors'")
    assert "conv1" in vebi("layers", "network.py:Net", *options).out
    assert "missing.py does not exist" in fails(3, "layers", *options)


def test_a_single_value_is_a_list_of_one():
    found = vebi("layers", *MODEL, *config("[layers]\nlayers = 'relu'\nsize = 16\njson = true")).out
    assert [(layer["name"], layer["height"]) for layer in json.loads(found)] == [("relu", 4)]


@pytest.mark.usefixtures("run_here")
def test_many_arguments():
    options = config("""
        [explain]
        run = "run"
        images = ["pictures/red/00.png", "pictures/blue/01.png"]
        model = "network.py:Net"
        out = "out"
        features = 1
        class = "green"
        stride-fix = "none"
        json = true

        [report]
        run = "run"
        model = "network.py:Net"
        class = ["red", "blue"]
        out = "some.html"
    """)
    rows = json.loads(vebi("explain", *options).out)
    assert [row["image"] for row in rows] == ["pictures/red/00.png", "pictures/blue/01.png"]
    assert {row["target"] for row in rows} == {"green"} and all(len(row["evidence"]) <= 1 for row in rows)
    vebi("report", *options)
    assert Path("some.html").exists()


def test_tables_of_other_commands_are_left_alone():
    """But a command that does not exist is no table of any."""
    assert "conv1" in vebi("layers", *MODEL, *config("[fit]\nmu = 0\nanything = 'goes'")).out
    assert "'trian' at its top" in fails(2, "layers", *MODEL, *config("[trian]\nepochs = 1"))


def test_an_empty_file_says_nothing():
    assert "conv1" in vebi("layers", *MODEL, *config("")).out


def test_text_is_utf8():
    Path("bildär.txt").write_text("blau\ngrün\nrot\n", encoding="utf-8")
    fit = ("fit", "network.py:unnamed", "pictures", "--weights", "w.safetensors", "--out", "run")
    said = fails(3, *fit, *config("[fit]\nclasses = 'bildär.txt'"))
    assert "the model's classes are blau, grün, rot, without blue, green, red" in said


def test_values_of_the_file_are_checked_as_if_typed():
    """The sentence says which file the value is in, since nobody has typed it."""
    for text, sentence in [
        ("[fit]\nmu = 0", "mu is 0.0"),
        ("[fit]\nmu = nan", "mu is nan"),
        ("[fit]\nmu = [1, 2]", "it should be a number above 0, or auto, given: 1,2 (in the file of --config)"),
        ("[fit]\nmu = true", "mu in [fit] of vebi.toml is True, but text, a number or a list of them is needed"),
        ("[fit]\nbatch_size = 0", "batch_size is 0"),
        ("[fit]\nlabels = 3", "labels is '3'"),
        ("[fit]\nsigned = 'yes'", "signed in [fit] of vebi.toml is 'yes', but true or false is needed"),
        ("[fit]\nlayers = [['relu']]", "layers in [fit] of vebi.toml is [['relu']]"),
    ]:
        said = fails(2, "fit", *MODEL, "pictures", "--out", "run", *config(text))
        assert sentence in said
        assert not Path("run").exists()
