"""`vebi report`: the page, and what it says of the images."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_support import fails, json_of, vebi
from PIL import Image
from support import write_unsigned

from vebi.datasets.flowers import generate

pytestmark = pytest.mark.usefixtures("workspace")

REPORT = ("report", "run", "--out", "page/report.html", "--model", "network.py:Net")


@pytest.mark.usefixtures("workspace_run")
def test_a_report_on_the_images_of_the_fit():
    """The images are where they were; the page has the accuracy on them."""
    report = json_of(*REPORT, "--title", "Squares & more")
    assert report["report"] == "page/report.html"
    assert report["looked_at"] == report["total"] == 72
    assert report["accuracy"] == 1
    assert report["correct"] == report["labelled"] == {"blue": 24, "green": 24, "red": 24}
    assert report["auc_iou"] == {}
    assert report["scored"] == 0
    page = Path("page/report.html").read_text(encoding="utf-8")
    assert "Squares &amp; more" in page
    assert "Squares & more" not in page
    assert not re.search(r"(src|href)=.?(https?:|/|file:)", page)
    assert [p.name for p in Path("page").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("workspace_run")
def test_a_report_on_other_images_with_masks():
    """Masks that cover the square give a score above 0 for every method."""
    shutil.copytree("images/red", "two/red")
    shutil.copytree("images/blue", "two/blue")
    for path in Path("two").rglob("*.png"):
        mask = Path("masks", *path.parts[1:])
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * (np.asarray(Image.open(path)).min(axis=2) < 120).astype(np.uint8)).save(mask)
    report = json_of(*REPORT, "--images", "two", "--masks", "masks", "--batch-size", 5)
    assert report["looked_at"] == report["scored"] == 48
    assert report["labelled"] == {"blue": 24, "green": 0, "red": 24}
    assert report["auc_iou"]
    assert all(0 < score < 100 for score in report["auc_iou"].values())


@pytest.mark.usefixtures("workspace_run")
def test_a_report_on_two_classes():
    pages = {}
    for name, options in (("all", ()), ("two", ("--class", "red", "--class", "blue"))):
        outcome = vebi("report", "run", "--out", f"{name}.html", "--model", "network.py:Net", *options)
        assert (outcome.out, outcome.err) == ("", f"report: {name}.html\n")
        pages[name] = Path(f"{name}.html").read_text(encoding="utf-8")
    anchors = {name: set(re.findall(r'id="class-\d-(\w+)"', page)) for name, page in pages.items()}
    assert anchors == {"all": {"blue", "green", "red"}, "two": {"blue", "red"}}


@pytest.mark.usefixtures("workspace_run")
def test_a_report_that_must_decode_every_image():
    Path("images/red/00.png").write_text("no image")
    outcome = vebi(*REPORT, "--images", "images", "--json")
    report = json.loads(outcome.out)
    assert (report["looked_at"], report["total"]) == (71, 72)
    assert outcome.err.startswith("note: 1 of 72 images")
    assert "images/red/00.png" in outcome.err
    assert "images/red/00.png" in fails(3, *REPORT, "--images", "images", "--strict")


def test_a_report_when_the_images_have_moved(workspace_run):
    shutil.move("images", "elsewhere")
    path = workspace_run / "interpretation.json"
    content = json.loads(path.read_text())
    content["settings"]["data"]["folder"] = "images"
    write_unsigned(path, content)
    assert "not in images" in fails(3, *REPORT)
    assert not Path("page/report.html").exists()
    assert json_of(*REPORT, "--images", "elsewhere")["accuracy"] == 1


def test_a_report_on_flowers_has_masks(tmp_path):
    generate(tmp_path / "data", images_per_class=5, size=48)
    vebi("train", "data", "--out", "network.safetensors", "--epochs", 1)
    vebi("fit", "network.safetensors", "data", "--mu", 1, "--out", "run", "--batch-size", 6)
    report = json_of("report", "run", "--out", "report.html")
    assert report["looked_at"] == 30
    assert 0 < report["scored"] <= 30
    (mask,) = list(Path("data/masks/red").glob("*_r0.png"))
    mask.write_bytes(mask.read_bytes()[:-60])
    assert f"{mask.name} is no mask" in fails(3, "report", "run", "--out", "report.html")
