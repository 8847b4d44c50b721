"""`vebi bench` as a user types it, and the methods of docs/benchmark.md in it."""

import importlib
import importlib.util
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from cli_support import MODEL, fails, run, vebi
from PIL import Image

DOCS = Path(__file__).parents[3] / "docs" / "benchmark.md"
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", DOCS.read_text(), flags=re.M | re.S))
RUN = ("bench", "run", "--data", "images", "--masks", "masks", "--model", *MODEL, "--mu", 1, "--per-class", 2)


@pytest.fixture
def with_masks(workspace) -> Path:
    """The folder of ``workspace`` with masks/."""
    for path in Path("images").rglob("*.png"):
        mask = Path("masks", path.parent.name, path.name)
        mask.parent.mkdir(parents=True, exist_ok=True)
        far = np.abs(np.asarray(Image.open(path), float) - 225).max(axis=2) > 60
        Image.fromarray((255 * far).astype(np.uint8)).save(mask)
    return workspace


def test_a_method_of_under_twenty_lines_is_in_the_table(with_masks):
    """The one that docs/benchmark.md shows."""
    code = FILES["occlusion.py"]
    assert len(code.strip().splitlines()) < 20
    Path("occlusion.py").write_text(code)
    table = json.loads(vebi(*RUN, "--method", "occlusion.py:occlusion", "--out", "bench", "--json").out)
    assert table == json.loads(Path("bench/table.json").read_text())
    row = next(row for row in table["rows"] if row["method"] == "occlusion")
    mask_share = table["settings"]["data"]["images"]["mask_share"]
    assert row["relevance_mass"] > 1.5 * mask_share  # the squares are what the toy looks at
    for name in ("table.md", "report.html"):
        assert "occlusion" in Path("bench", name).read_text()


def test_methods_of_other_libraries_as_the_page_shows_them(with_masks, monkeypatch):
    if not all(map(importlib.util.find_spec, ("captum", "pytorch_grad_cam"))):
        pytest.skip("captum and pytorch-grad-cam are not installed")
    from support import import_torchvision

    import_torchvision()
    with warnings.catch_warnings():  # their imports warn
        warnings.simplefilter("ignore")  # their imports warn
        for name in ("captum.attr", "pytorch_grad_cam"):
            importlib.import_module(name)
    Path("theirs.py").write_text(FILES["peers.py"])
    methods = ("--method", "theirs.py:captum_integrated_gradients", "--method", "theirs.py:eigen_cam")
    table = json.loads(vebi(*RUN, *methods, "--out", "bench", "--json").out)
    assert {"captum-integrated-gradients", "eigen-cam"} <= {row["method"] for row in table["rows"]}


def test_a_method_that_is_added_later_is_all_that_is_scored(with_masks):
    vebi(*RUN, "--out", "bench")
    before = {path: path.stat().st_mtime_ns for path in Path("bench/scores").iterdir()}
    Path("mine.py").write_text("def mine(classifier):\n    return lambda images, targets: images.mean(dim=1)\n")
    outcome = vebi(*RUN, "--method", "mine.py:mine", "--out", "bench")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Path("bench/scores/mine.safetensors").exists()
    lines = outcome.out.splitlines()
    assert lines[0].split()[:3] == ["data", "method", "AUC-IoU"]
    assert any("mine" in line for line in lines)
    assert "bench/report.html" in outcome.err


def test_the_features_of_the_fit_are_recorded(with_masks):
    line = [option for option in RUN if option not in ("--mu", 1)]
    vebi(*line, "--features", 2, "--paper", "--mosaics", 0, "--out", "bench")
    plan = json.loads(Path("bench/table.json").read_text())["settings"]["plan"]
    assert (plan["features_per_class"], plan["mu"]) == (2, None)
    assert plan["descriptor"] == "Descriptor(energy='squared', unit_norm=True, scaling='plain')"
    settings = json.loads(Path("bench/run/run.json").read_text())["settings"]
    assert settings["descriptor"] == {"energy": "squared", "unit_norm": True, "scaling": "plain"}
    assert settings["features_per_class"] == 2
    assert "give it alone" in fails(2, *line, "--paper", "--scaling", "log", "--out", "other")


def test_options_can_be_kept_in_a_file(with_masks):
    Path("vebi.toml").write_text(
        '[bench.run]\ndata = "images"\nmasks = "masks"\nmodel = "network.py:Net"\nweights = "w.safetensors"\n'
        "mu = 1\nper-class = 2\nmosaics = 0\n"
    )
    vebi("bench", "run", "--config", "vebi.toml", "--out", "bench", "--per-class", 1)
    settings = json.loads(Path("bench/table.json").read_text())["settings"]
    assert settings["plan"]["scored"] == 1
    assert settings["data"]["images"]["images"] == [3]
    Path("vebi.toml").write_text("[bench.run]\nmus = 1\n")
    sentence = fails(2, *RUN, "--config", "vebi.toml")
    assert "'mus' in [bench.run]" in sentence
    assert "`vebi bench run`" in sentence
    Path("vebi.toml").write_text("[bench.walk]\nmu = 1\n")
    assert "'walk' in [bench]" in fails(2, *RUN, "--config", "vebi.toml")
    Path("vebi.toml").write_text("bench = 1\n")
    assert "'bench' outside of any table" in fails(2, *RUN, "--config", "vebi.toml")


@pytest.mark.parametrize(
    ("code", "words", "facts"),
    [
        (2, ("--method", "captum"), ("'captum'", "FILE.py:FUNCTION")),
        (3, ("--method", "none.py:mine"), ("none.py does not exist",)),
        (3, ("--method", "mine.py:other"), ("mine.py", "function 'other'")),
        (2, ("--method", "mine.py:nothing"), ("mine.py:nothing", "NoneType")),
        (3, ("--method", "mine.py:raises"), ("raises", "RuntimeError: mine")),
        (3, ("--method", "mine.py:flat"), ("flat", "shape (6,)", "6 images", "(6, 32, 32)")),
        (2, ("--method", "mine.py:gradient"), ("two methods", "'gradient'")),
        (2, ("--cam-layer", "nonsense"), ("no layer", "'nonsense'")),
        (2, ("--cam-layer", "linear"), ("'linear'", "maps")),
        (2, ("--per-class", 0), ("per_class is 0",)),
        (2, ("--mosaics", -1), ("mosaics -1",)),
        (2, ("--mu", 0), ("mu is 0",)),
        (2, ("--seed", -1), ("--seed is -1",)),
        (3, ("--data", "nowhere"), ("nowhere does not exist",)),
        (3, ("--masks", "nowhere"), ("nowhere is no folder",)),
        (3, ("--masks", "images/blue"), ("images/blue/00.png has no mask", "images/blue/blue/00.png")),
        (3, ("--fit-on", "nowhere"), ("nowhere does not exist",)),
        (2, ("--model", "resnet"), ("'resnet'", "FILE.py:FUNCTION")),
    ],
)
def test_bad_input_is_one_sentence(with_masks, code, words, facts):
    Path("mine.py").write_text(
        "def nothing(c):\n    pass\n"
        "def raises(c):\n    def f(x, t):\n        raise RuntimeError('mine')\n    return f\n"
        "def flat(c):\n    return lambda x, t: x.sum(dim=(1, 2, 3))\n"
        "def gradient(c):\n    pass\n"
    )
    sentence = fails(code, *RUN, "--out", "bench", *words)
    assert [fact for fact in facts if fact not in sentence] == [], sentence


def test_images_without_masks(workspace):
    outcome = vebi("bench", "run", "--data", "images", "--model", *MODEL, "--per-class", 1)
    assert "images has no masks" in outcome.err
    assert "insertion" in outcome.out
    assert Path("bench/images.json").is_file()


def test_images_without_masks_need_no_folders_of_classes(workspace):
    Path("holiday/beach").mkdir(parents=True)
    for path in Path("images/red").iterdir():
        shutil.copy(path, "holiday/beach")
    vebi("bench", "run", "--data", "holiday", "--model", *MODEL, "--fit-on", "images", "--per-class", 1)
    assert json.loads(Path("bench/images.json").read_text())["images"] == 3


def test_another_model_does_not_go_into_the_same_folder(with_masks):
    vebi(*RUN, "--out", "bench")
    assert "mu 1.0, not 2.0" in fails(3, *RUN, "--mu", 2, "--out", "bench")


def test_no_command_of_the_group_shows_them():
    outcome = run("bench")
    assert "table1" in outcome.out + outcome.err
    assert "run" in outcome.out + outcome.err
    assert "Traceback" not in outcome.err


def test_table1_of_a_stranger_folder(workspace):
    shutil.copytree("images", "table1/single-6c/flowers")
    assert "table1/single-6c/flowers is not empty" in fails(3, "bench", "table1", "--quick")


@pytest.mark.usefixtures("workspace")
def test_images_need_no_masks():
    table = json.loads(
        vebi(
            "bench", "images", "--data", "images", "--model", *MODEL, "--scored", 4, "--few", 2, "--out", "b", "--json"
        ).out
    )
    assert table == json.loads(Path("b/images.json").read_text())
    assert {"vebi", "grad-cam", "occlusion"} < {row["method"] for row in table["rows"]}
    assert {path.name for path in Path("b").glob("*.*")} == {"images.json", "images.md", "sheet.webp"}
    assert "scored is 0" in fails(2, "bench", "images", "--data", "images", "--model", *MODEL, "--scored", 0)
