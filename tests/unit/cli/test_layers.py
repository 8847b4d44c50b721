"""`vebi layers` and `vebi audit`: what can be recorded in a network, and what the backprop rule covers."""

from pathlib import Path

import pytest
from cli_support import MODEL, fails, json_of, vebi

pytestmark = pytest.mark.usefixtures("workspace")


def test_audit():
    findings = json_of("audit", *MODEL)
    assert {"module": "relu1", "operation": "relu", "treatment": "rule", "covered": True, "count": 1} in findings
    assert all(finding["covered"] for finding in findings)
    outcome = vebi("audit", *MODEL)
    assert "max_pool2d_with_indices" in outcome.out
    assert outcome.err == "all are covered\n"
    source = Path("network.py").read_text()
    Path("network.py").write_text(source.replace("F.relu(self.conv2(x))", "F.relu(self.conv2(x).abs())"))
    outcome = vebi("audit", *MODEL)
    assert "NOT COVERED" in outcome.out
    assert outcome.err == "1 operations are not covered by the rule guided\n"
    assert "NOT COVERED" not in vebi("audit", *MODEL, "--rule", "gradient").out
    assert "abs" not in vebi("audit", *MODEL, "--layers", "relu1").out
    assert "rule is 'lrp'" in fails(2, "audit", *MODEL, "--rule", "lrp")
    assert "'relu9'" in fails(2, "audit", *MODEL, "--layers", "relu9")


def test_layers():
    layers = json_of("layers", *MODEL)
    assert [layer["name"] for layer in layers if layer["is_activation"]] == ["relu1", "relu"]
    assert [layer["name"] for layer in layers] == ["conv1", "relu1", "conv2", "relu", "linear"]
    assert layers[0] == {
        "name": "conv1",
        "kind": "Conv2d",
        "channels": 8,
        "height": 16,
        "width": 16,
        "is_activation": False,
        "receptive_field": [3, 3],
    }
    # two 3 x 3 convolutions, the second on every fourth pixel: 3 + 2 by pooling + 2 x 4
    assert [layer["receptive_field"] for layer in layers] == [[3, 3], [3, 3], [13, 13], [13, 13], [32, 32]]
    text = vebi("layers", *MODEL).out
    assert "conv1" in text
    assert "13 x 13 px" in text
    assert "whole image" in text


@pytest.mark.parametrize(
    ("globs", "names"),
    [(["relu*"], ["relu1", "relu"]), (["conv?"], ["conv1", "conv2"]), (["relu", "conv1"], ["conv1", "relu"])],
)
def test_layers_by_name_or_glob(globs, names):
    options = [word for glob in globs for word in ("--layers", glob)]
    assert [layer["name"] for layer in json_of("layers", *MODEL, *options)] == names


def test_preprocessing_from_options():
    options = ("--mean", "0.5,0.5,0.5", "--std", "0.25,.25,0.25", "--size", 24)
    assert json_of("layers", "network.py:bare", *options)[0]["height"] == 12
    assert json_of("layers", *MODEL, "--device", "cpu", "--size", 48)[0]["height"] == 24
