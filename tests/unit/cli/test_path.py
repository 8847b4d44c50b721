"""`vebi path`: what is selected along mu, as data, as a figure and for a person."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_support import FIT, json_of, vebi
from support import ToyNet, interpretation_of

from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

pytestmark = pytest.mark.usefixtures("workspace")


def test_path():
    result = json_of(*FIT, "--out", "run")
    path = json_of("path", "run", "--out", "new/path.svg")
    assert path["mu"] == 1
    assert path["chosen"] == "given"
    assert path["folds"] == 5
    assert path["run"] == "run"
    assert path["figure"] == "new/path.svg"
    k = path["mus"].index(1)
    assert list(path["classes"]) == ["blue", "green", "red"]
    for name, selection in path["classes"].items():
        features = selection["features"]
        at_mu = {f["feature"]: f["weights"][k] for f in features if f["weights"][k]}
        assert at_mu == pytest.approx({f["feature"]: f["weight"] for f in result["classes"][name]["features"]})
        assert selection["counts"][k] == len(at_mu)
        assert [f["entry_mu"] for f in features] == sorted(f["entry_mu"] for f in features)
        assert selection["end_mu"] is None or selection["end_mu"] >= features[0]["entry_mu"]
    for column in (path["r2"], path["fidelity"]):
        assert len(column["mean"]) == len(column["standard_error"]) == len(path["mus"])
    figure = ElementTree.parse("new/path.svg").getroot()
    words = " ".join(figure.itertext())
    assert figure.tag.endswith("svg")
    assert "mu = 1" in words
    assert "red: share of the weight" in words


def test_path_of_one_class():
    vebi(*FIT, "--out", "run")
    outcome = vebi("path", "run", "--class", "red")
    assert "this run" in outcome.out
    assert "red" in outcome.out
    assert "blue" not in outcome.out
    assert outcome.err == "figure: path.svg\n"
    assert "blue" not in Path("path.svg").read_text()


def test_of_many_classes_some_are_shown_and_the_others_on_request():
    names = tuple(f"class {k:02d}" for k in range(30))
    network = Classifier(ToyNet(30), Preprocess(32, (0.5,) * 3, (0.5,) * 3), names)
    interpretation_of(network, [("relu", 2)], [], [], np.zeros((30, 0))).save("run")
    outcome = vebi("path", "run")
    assert "24 of 30 classes are shown: --class NAME shows another" in outcome.err
    assert outcome.out.count("class ") - outcome.out.count("class  ") == 24
    assert len(json_of("path", "run")["classes"]) == 24
    assert list(json_of("path", "run", "--class", "class 01")["classes"]) == ["class 01"]
    assert "are shown" not in vebi("path", "run", "--class", "class 01").err
