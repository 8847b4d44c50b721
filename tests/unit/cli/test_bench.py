"""`vebi bench` as a user drives it, and the documentation's own methods in it."""

import importlib
import importlib.util
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from cli_support import MODEL, fails, vebi
from PIL import Image

DOCS = Path(__file__).parents[3] / "docs" / "benchmark.md"
FILES = {
    name: code for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", DOCS.read_text(), flags=re.M | re.S)
}
RUN = ("bench", "run", "--data", "pictures", "--masks", "masks", "--model", *MODEL, "--mu", 1, "--per-class", 2)


@pytest.fixture
def with_masks(here) -> Path:
    """The folder of ``here`` with masks/."""
    for path in Path("pictures").rglob("*.png"):
        mask = Path("masks", path.parent.name, path.name)
        mask.parent.mkdir(parents=True, exist_ok=True)
        far = np.abs(np.asarray(Image.open(path), float) - 225).max(axis=2) > 60
        Image.fromarray((255 * far).astype(np.uint8)).save(mask)
    return here


def test_a_method_of_under_twenty_lines_is_in_the_table(with_masks):
    """The one that docs/benchmark.md shows."""
    code = FILES["occlusion.py"]
    assert len(code.strip().splitlines()) < 20
    Path("occlusion.py").write_text(code)
    told = vebi(*RUN, "--method", "occlusion.py:occlusion", "--out", "bench", "--json")
    found = json.loads(told.out)
    assert found == json.loads(Path("bench/table.json").read_text())
    row = next(row for row in found["rows"] if row["method"] == "occlusion")
    covered = found["settings"]["data"]["pictures"]["whole_picture"]
    assert row["relevance_mass"] > 1.5 * covered  # the squares are what the toy looks at
    for name in ("table.md", "report.html"):
        assert "occlusion" in Path("bench", name).read_text()


def test_methods_of_other_libraries_as_the_page_shows_them(with_masks, monkeypatch):
    if not all(map(importlib.util.find_spec, ("captum", "pytorch_grad_cam"))):
        pytest.skip("captum and pytorch-grad-cam are not installed")
    from support import import_torchvision

    import_torchvision()
    with warnings.catch_warnings():  # their imports warn
        warnings.simplefilter("ignore")
        for name in ("captum.attr", "pytorch_grad_cam"):
            importlib.import_module(name)
    Path("theirs.py").write_text(FILES["peers.py"])
    methods = ("--method", "theirs.py:integrated_gradients", "--method", "theirs.py:eigen_cam")
    found = json.loads(vebi(*RUN, *methods, "--out", "bench", "--json").out)
    assert {"integrated-gradients", "eigen-cam"} <= {row["method"] for row in found["rows"]}


def test_a_method_that_is_added_later_is_all_that_is_scored(with_masks):
    vebi(*RUN, "--out", "bench")
    before = {path: path.stat().st_mtime_ns for path in Path("bench/scores").iterdir()}
    Path("mine.py").write_text("def mine(classifier):\n    return lambda images, targets: images.mean(dim=1)\n")
    told = vebi(*RUN, "--method", "mine.py:mine", "--out", "bench")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Path("bench/scores/mine.safetensors").exists()
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["data", "method", "AUC-IoU"] and any("mine" in line for line in lines)
    assert "look at bench/report.html" in told.err


def test_options_can_be_kept_in_a_file(with_masks):
    Path("vebi.toml").write_text(
        '[bench.run]\ndata = "pictures"\nmasks = "masks"\nmodel = "network.py:Net"\nweights = "w.safetensors"\n'
        "mu = 1\nper-class = 2\nmosaics = 0\n"
    )
    vebi("bench", "run", "--config", "vebi.toml", "--out", "bench", "--per-class", 1)
    held = json.loads(Path("bench/table.json").read_text())["settings"]
    assert held["plan"]["scored"] == 1 and held["data"]["pictures"]["pictures"] == [3]
    Path("vebi.toml").write_text("[bench.run]\nmus = 1\n")
    assert "'mus' in [bench.run], but `vebi bench run` knows" in fails(2, *RUN, "--config", "vebi.toml")
    Path("vebi.toml").write_text("[bench.walk]\nmu = 1\n")
    assert "'walk' in [bench], but a table for each command" in fails(2, *RUN, "--config", "vebi.toml")
    Path("vebi.toml").write_text("bench = 1\n")
    assert "'bench' outside of any table" in fails(2, *RUN, "--config", "vebi.toml")


@pytest.mark.parametrize(
    "code, words, said",
    [
        (2, ("--method", "captum"), "the method is 'captum': give FILE.py:FUNCTION"),
        (3, ("--method", "none.py:mine"), "none.py does not exist"),
        (3, ("--method", "mine.py:other"), "mine.py has no function 'other'"),
        (2, ("--method", "mine.py:nothing"), "returned a NoneType"),
        (3, ("--method", "mine.py:raises"), "raises stopped with RuntimeError: mine"),
        (3, ("--method", "mine.py:flat"), "flat: a method gave an array of shape (6,) for 6 pictures"),
        (2, ("--method", "mine.py:gradient"), "two methods are called 'gradient'"),
        (2, ("--cam-layer", "nonsense"), "no layer is called 'nonsense'"),
        (2, ("--cam-layer", "linear"), "names no single layer with maps"),
        (2, ("--per-class", 0), "per_class is 0"),
        (2, ("--mosaics", -1), "mosaics -1: score at least"),
        (2, ("--mu", 0), "mu is 0"),
        (2, ("--seed", -1), "--seed is -1"),
        (3, ("--data", "nowhere"), "nowhere does not exist"),
        (3, ("--masks", "nowhere"), "nowhere is no folder"),
        (3, ("--masks", "pictures/blue"), "has no mask"),
        (3, ("--fit-on", "nowhere"), "nowhere does not exist"),
        (2, ("--model", "resnet"), "'resnet' names no model"),
    ],
)
def test_bad_input_is_one_sentence(with_masks, code, words, said):
    Path("mine.py").write_text(
        "def nothing(c):\n    pass\n"
        "def raises(c):\n    def f(x, t):\n        raise RuntimeError('mine')\n    return f\n"
        "def flat(c):\n    return lambda x, t: x.sum(dim=(1, 2, 3))\n"
        "def gradient(c):\n    pass\n"
    )
    assert said in fails(code, *RUN, "--out", "bench", *words)


def test_pictures_without_masks(here):
    line = ("bench", "run", "--data", "pictures", "--model", *MODEL)
    assert "pictures has no masks beside its pictures" in fails(3, *line)


def test_another_model_does_not_go_into_the_same_folder(with_masks):
    vebi(*RUN, "--out", "bench")
    assert "holds a run with mu 1.0, not 2.0" in fails(3, *RUN, "--mu", 2, "--out", "bench")


def test_no_command_of_the_group_shows_them():
    from cli_support import run

    told = run("bench")
    assert "table1" in told.out + told.err and "run" in told.out + told.err and "Traceback" not in told.err


def test_table1_of_a_stranger_folder(here):
    shutil.copytree("pictures", "table1/single-6c/flowers")
    assert "is not empty and holds no data set" in fails(3, "bench", "table1", "--quick")
