"""`vebi explain`: figures, raw arrays and the rows of explanations.json."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_support import FIT, fails, json_of, vebi
from PIL import Image

import vebi as vebi_module

pytestmark = pytest.mark.usefixtures("workspace")

EXPLAIN = ("explain", "run", "images/red/00.png", "--out", "out", "--model", "network.py:Net")


@pytest.mark.usefixtures("workspace_run")
def test_explain():
    explain = ("explain", "run", "images/red/00.png", "images/blue", "--model", "network.py:Net", "--out", "out")
    rows = json_of(*explain, "--max-features", 1)
    assert [row["prediction"] for row in rows] == ["red"] + 24 * ["blue"]
    assert all(len(row["evidence"]) == 1 and Path("out", row["figure"]).exists() for row in rows)
    row = json_of(*explain, "--class", "green", "--stride-fix", "none")[0]
    assert (row["prediction"], row["target"]) == ("red", "green")
    outcome = vebi(*explain)
    assert "red" in outcome.out
    assert outcome.err == "figures and arrays: out\n"


@pytest.mark.usefixtures("workspace_run")
def test_arrays_are_data_without_code():
    """The arrays of an image can be read without unpickling, and fit it."""
    (row,) = json_of(*EXPLAIN, "--max-features", 2)
    with np.load(Path("out", row["arrays"]), allow_pickle=False) as file:
        arrays = dict(file)
    n = len(row["evidence"])
    assert n
    assert {name: (a.shape, a.dtype.kind) for name, a in arrays.items()} == {
        "image": ((32, 32, 3), "u"),
        "heatmaps": ((n, 32, 32), "f"),
        "features": ((n,), "U"),
        "contributions": ((n,), "f"),
        "combined": ((32, 32), "f"),
    }
    assert arrays["features"].tolist() == [e["feature"] for e in row["evidence"]]
    assert arrays["contributions"].tolist() == [e["contribution"] for e in row["evidence"]]
    assert (arrays["image"] == np.asarray(Image.open("images/red/00.png"))).all()
    assert 0 == arrays["combined"].min() < arrays["combined"].max() == 1


@pytest.mark.usefixtures("workspace_run")
def test_maps_of_other_methods_are_shown_beside_them():
    Path("mine.py").write_text("def brightness(c):\n    return lambda x, t: x.sum(dim=1) - x.sum(dim=1).amin()\n")
    names = ("grad-cam", "vebi-paper", "mine.py:brightness")
    (row,) = json_of(*EXPLAIN, "--class", "green", *(word for name in names for word in ("--method", name)))
    assert row["methods"] == ["Grad-CAM", "vebi as in the paper", "brightness"]
    with np.load(Path("out", row["arrays"]), allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["methods"].tolist() == row["methods"]
    network = vebi_module.load_classifier("network.py:Net", "w.safetensors")
    image = vebi_module.open_images(["images/red/00.png"]).load(0)[0]
    inputs, target = network.preprocess.prepare(image)[None], torch.tensor([1])
    expected = [vebi_module.methods.GradCam(network)(inputs, target)[0].clamp(min=0), inputs.sum(dim=1)[0]]
    assert arrays["method_maps"][0] == pytest.approx(expected[0].numpy(), abs=1e-5)
    assert arrays["method_maps"][2] == pytest.approx((expected[1] - expected[1].min()).numpy(), abs=1e-5)
    panels = 1 + len(row["evidence"]) + 1 + 3
    with Image.open(Path("out", row["figure"])) as figure:
        assert figure.width == panels * (224 + 14) + 14


@pytest.mark.usefixtures("workspace_run")
@pytest.mark.parametrize(
    ("code", "name", "facts"),
    [
        (2, "gradcam", ("no method 'gradcam'", "grad-cam", "occlusion", "FILE.py:FUNCTION")),
        (3, "missing.py:f", ("missing.py does not exist",)),
        (2, "net:f", ("'net:f'",)),
        (2, "mine.py:gradient --method gradient", ("two methods are called 'gradient'",)),
    ],
)
def test_methods_that_do_not_exist(code, name, facts):
    Path("mine.py").write_text("def gradient(c):\n    return lambda x, t: x.sum(dim=1)\n")
    sentence = fails(code, *EXPLAIN, "--method", *name.split())
    assert [fact for fact in facts if fact not in sentence] == []
    assert not Path("out").exists()


def test_rules_and_stride_fixes_give_different_maps():
    """Of features above another activation function; below the first one rules do not differ."""
    vebi(*FIT, "--out", "run", "--layers", "relu")
    maps = {}
    for rule, fix in [("guided", "centred"), ("deconvnet", "centred"), ("gradient", "centred"), ("guided", "nearest")]:
        (row,) = json_of(*EXPLAIN, "--rule", rule, "--stride-fix", fix)
        maps[rule, fix] = np.load(Path("out", row["arrays"]))["heatmaps"].tobytes()
        assert json.loads(Path("out/explanations.json").read_text())["provenance"]["options"]["recipe"]["rule"] == rule
    assert len(set(maps.values())) == 4
    (row,) = json_of(*EXPLAIN)
    assert np.load(Path("out", row["arrays"]))["heatmaps"].tobytes() == maps["guided", "centred"]


@pytest.mark.usefixtures("workspace_run")
def test_recipes_by_name_and_what_is_different():
    maps = {}
    for options in (
        (),
        ("--recipe", "paper"),
        ("--recipe", "paper", "--reading", "contribution"),
        ("--no-contrast",),
        ("--recipe", "layers", "--reading", "gradient", "--no-contrast"),
    ):
        (row,) = json_of(*EXPLAIN, *options)
        with np.load(Path("out", row["arrays"])) as arrays:
            maps[options] = arrays["combined"].tobytes()
    assert len(set(maps.values())) == len(maps)
    recipe = json.loads(Path("out/explanations.json").read_text())["provenance"]["options"]["recipe"]
    assert recipe == {
        "rule": "guided",
        "stride_fix": "centred",
        "pool_fix": True,
        "reading": "gradient",
        "contrast": False,
        "combination": "mass",
    }
    json_of(*EXPLAIN, "--recipe", "layers", "--stride-fix", "none", "--no-pool-fix")
    recipe = json.loads(Path("out/explanations.json").read_text())["provenance"]["options"]["recipe"]
    assert (recipe["stride_fix"], recipe["pool_fix"], recipe["reading"]) == (None, False, "layers")
    for option, words in (("--recipe", "layers, paper"), ("--reading", "gradient"), ("--stride-fix", "centred")):
        assert words in fails(2, *EXPLAIN, option, "other")


@pytest.mark.usefixtures("workspace_run")
def test_explanations_do_not_depend_on_the_batch_size():
    explain = ("explain", "run", "images", "--out", "out", "--model", "network.py:Net")
    for one, other in zip(json_of(*explain), json_of(*explain, "--batch-size", 5), strict=True):
        assert one["image"] == other["image"]
        assert one["prediction"] == other["prediction"]
        assert [e["feature"] for e in one["evidence"]] == [e["feature"] for e in other["evidence"]]


@pytest.mark.usefixtures("workspace_run")
def test_a_bomb_is_skipped():
    Image.new("1", (10_000, 10_000)).save("bomb.png")
    line = vebi("explain", "run", "bomb.png", *EXPLAIN[2:]).err.splitlines()[0]
    assert line.startswith("note: 1 of 2 ")
    assert "bomb.png has 10000 x 10000" in line
