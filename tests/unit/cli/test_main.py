"""The commands as a user meets them, on good input; what is bad is in test_bad_input.py."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_support import FIT, MODEL, fails, run, truncate, vebi
from PIL import Image

from vebi.datasets.flowers import generate

pytestmark = pytest.mark.usefixtures("here")

UNNAMED = ("fit", "network.py:unnamed", "pictures", "--weights", "w.safetensors", "--mu", 1, "--out", "run")
EXPLAIN = ("explain", "run", "pictures/red/00.png", "--out", "out", "--model", "network.py:Net")
REPORT = ("report", "run", "--out", "page/report.html", "--model", "network.py:Net")


def told(*arguments):
    """What a command yields with --json."""
    return json.loads(vebi(*arguments, "--json").out)


def place_of_pictures(run: Path, place: str) -> None:
    """Says in a run where the pictures of the fit are."""
    path = run / "interpretation.json"
    held = json.loads(path.read_text())
    held["provenance"]["settings"]["data"]["place"] = place
    path.write_text(json.dumps(held))


# --- vebi itself ----------------------------------------------------------------------------------------------------


def test_version():
    assert vebi("--version").out == f"{version('vebi')}\n"


def test_without_a_command_the_help_is_the_answer():
    found = run()
    assert (found.code, found.out) == (2, "") and "Usage: vebi" in found.err
    assert "Usage: vebi" in vebi("-h").out


def test_what_others_warn_of_is_not_for_users():
    assert vebi("layers", *MODEL).err == ""


# --- layers ---------------------------------------------------------------------------------------------------------


def test_audit():
    found = told("audit", *MODEL)
    assert {"place": "relu1", "operation": "relu", "treatment": "rule", "covered": True, "count": 1} in found
    assert all(finding["covered"] for finding in found)
    said = vebi("audit", *MODEL)
    assert "max_pool2d_with_indices" in said.out and said.err == "all are covered\n"
    source = Path("network.py").read_text()
    Path("network.py").write_text(source.replace("F.relu(self.conv2(x))", "F.relu(self.conv2(x).abs())"))
    said = vebi("audit", *MODEL)
    assert "NOT COVERED" in said.out and said.err == "1 operations are not covered by the rule guided\n"
    assert "NOT COVERED" not in vebi("audit", *MODEL, "--rule", "gradient").out
    assert "abs" not in vebi("audit", *MODEL, "--layers", "relu1").out
    assert "the backward rule is 'lrp'" in fails(2, "audit", *MODEL, "--rule", "lrp")
    assert "no layer is called 'relu9'" in fails(2, "audit", *MODEL, "--layers", "relu9")


def test_layers():
    found = told("layers", *MODEL)
    assert [layer["name"] for layer in found if layer["default"]] == ["relu1", "relu"]
    assert [layer["name"] for layer in found] == ["conv1", "relu1", "conv2", "relu", "linear"]
    assert found[0] == dict(
        name="conv1", kind="Conv2d", channels=8, height=16, width=16, default=False, receptive_field=[3, 3]
    )
    # two 3 x 3 convolutions, the second on every fourth pixel: 3 + 2 by pooling + 2 x 4
    assert [layer["receptive_field"] for layer in found] == [[3, 3], [3, 3], [13, 13], [13, 13], [32, 32]]
    text = vebi("layers", *MODEL).out
    assert "conv1" in text and "13 x 13 px" in text and "whole picture" in text


@pytest.mark.parametrize(
    ("globs", "names"),
    [(["relu*"], ["relu1", "relu"]), (["conv?"], ["conv1", "conv2"]), (["relu", "conv1"], ["conv1", "relu"])],
)
def test_layers_by_name_or_glob(globs, names):
    chosen = [word for glob in globs for word in ("--layers", glob)]
    assert [layer["name"] for layer in told("layers", *MODEL, *chosen)] == names


def test_preparation_from_options():
    options = ("--mean", "0.5,0.5,0.5", "--std", "0.25,.25,0.25", "--size", 24)
    assert told("layers", "network.py:bare", *options)[0]["height"] == 12
    assert told("layers", *MODEL, "--device", "cpu", "--size", 48)[0]["height"] == 24


# --- fit ------------------------------------------------------------------------------------------------------------


def test_fit():
    found = told(*FIT, "--out", "run")
    assert found["mu"] == 1 and found["accuracy"] == 1 and list(found["classes"]) == ["blue", "green", "red"]
    assert found["run"] == "run" and found["skipped"] == {} and found["notes"] == []
    for held in found["classes"].values():
        assert held["features"] and held["gap"] <= 1e-6
        assert all(-1 <= feature["consistency"] <= 1 for feature in held["features"])
        assert all(0 <= f["stability"] <= f["stability_with_stand_ins"] <= 1 for f in held["features"])
        assert all(0.95 < other["correlation"] <= 1 for f in held["features"] for other in f["stand_ins"])
    assert told(*FIT, "--out", "run") == found  # the same settings find the same result
    again = vebi(*FIT, "--out", "run")
    assert "relu" in again.out
    assert "right on 100.0% of these pictures, which it sees as 32 x 32 px, bilinear, mean 0.5 0.5 0.5" in again.err


def test_fit_taps_the_layers_that_are_named():
    found = told(*FIT, "--out", "run", "--layers", "relu1", "--layers", "conv*", "--batch-size", 7)
    layers = {f["feature"].partition(":")[0] for held in found["classes"].values() for f in held["features"]}
    assert layers <= {"relu1", "conv1", "conv2"}
    assert json.loads(Path("run/run.json").read_text())["settings"]["layers"] == [
        ["conv1", 8],
        ["relu1", 8],
        ["conv2", 12],
    ]


def test_fit_with_every_option():
    options = ("--signed", "--labels", "true", "--energy", "l2", "--no-unit-norm", "--strict", "--device", "cpu")
    prepared = ("--size", 24, "--resize", 28, "--interpolation", "nearest", "--mean", "0,0,0", "--std", "1,1,1")
    found = told(*FIT, "--out", "run", *options, *prepared)
    assert found["preprocess"] == dict(size=24, resize=28, interpolation="nearest", mean=[0.0] * 3, std=[1.0] * 3)
    settings = json.loads(Path("run/run.json").read_text())["settings"]
    held = {name: settings[name] for name in ("mu", "signed", "labels", "energy", "unit_norm", "strict")}
    assert held == dict(mu=1.0, signed=True, labels="true", energy="l2", unit_norm=False, strict=True)


def test_skipped_pictures_are_noted():
    truncate("pictures/red/00.png", 200)
    Path("pictures/red/01.png").write_text("no picture")
    found = vebi(*FIT, "--out", "run", "--json")
    assert "note: 2 of 72 pictures could not be decoded and were skipped, first: pictures/red/00.png" in found.err
    assert "also red/01.png" in found.err
    assert list(json.loads(found.out)["skipped"]) == ["red/00.png", "red/01.png"]


def test_class_names_from_the_folders_are_noted():
    said = vebi(*UNNAMED).err
    assert "note: the model does not name its classes; they are taken from the folders" in said


@pytest.mark.parametrize("classes", ["blue, green,red", "names.txt"])
def test_class_names_from_an_option_or_a_file(classes):
    Path("names.txt").write_text("blue\n green \n\nred\n")
    found = vebi(*UNNAMED, "--classes", classes, "--json")
    assert list(json.loads(found.out)["classes"]) == ["blue", "green", "red"] and found.err == ""


def test_many_class_names_are_no_name_of_a_file():
    """A list of 1000 names is longer than a path may be."""
    names = ",".join(f"class number {k}" for k in range(1000))
    assert "3 class scores, but 1000 class names" in fails(3, *UNNAMED, "--classes", names)


def test_a_finished_run_is_left_alone_by_other_settings():
    vebi(*FIT, "--out", "run")
    before = Path("run/interpretation.json").read_bytes()
    assert "run holds a run with mu 1.0, not 2.0" in fails(3, *FIT, "--out", "run", "--mu", "2")
    assert Path("run/interpretation.json").read_bytes() == before


def test_fit_with_a_chosen_mu():
    line = (*FIT[: FIT.index("--mu")], "--mu", "auto", "--out", "auto")
    found = told(*line)
    assert found["mu"] == told("path", "auto")["recommended_mu"] == told("path", "auto")["mu"]
    assert told("path", "auto")["chosen"] == "auto"
    said = vebi(*line).err
    assert f"mu = {found['mu']:g}: the smallest within one standard error of the best on held-out pictures" in said


def test_fit_without_stability():
    found = told(*FIT, "--out", "run", "--no-stability")
    for held in found["classes"].values():
        assert all(f["stability"] is f["stability_with_stand_ins"] is f["stand_ins"] is None for f in held["features"])
    assert "holds a run with stability false, not true" in fails(3, *FIT, "--out", "run")


# --- path -----------------------------------------------------------------------------------------------------------


def test_path():
    fitted = told(*FIT, "--out", "run")
    found = told("path", "run", "--out", "new/path.svg")
    assert found["mu"] == 1 and found["chosen"] == "given" and found["folds"] == 5 and found["run"] == "run"
    here = found["mus"].index(1)
    assert list(found["classes"]) == ["blue", "green", "red"]
    for name, held in found["classes"].items():
        at_mu = {f["feature"]: f["weights"][here] for f in held["features"] if f["weights"][here]}
        assert at_mu == pytest.approx({f["feature"]: f["weight"] for f in fitted["classes"][name]["features"]})
        assert held["counts"][here] == len(at_mu)
        assert [f["enters"] for f in held["features"]] == sorted(f["enters"] for f in held["features"])
    for column in (found["explained_variance"], found["agreement"]):
        assert len(column["mean"]) == len(column["standard_error"]) == len(found["mus"])
    drawn = ElementTree.parse("new/path.svg").getroot()
    words = " ".join(drawn.itertext())
    assert drawn.tag.endswith("svg") and "mu = 1" in words and "red: share of the weight" in words
    said = vebi("path", "run", "--class", "red")
    assert "this run" in said.out and "red" in said.out and "blue" not in said.out and said.err == "look at path.svg\n"
    assert "blue" not in Path("path.svg").read_text()


# --- explain --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run_here")
def test_explain():
    explain = ("explain", "run", "pictures/red/00.png", "pictures/blue", "--model", "network.py:Net", "--out", "out")
    rows = told(*explain, "--features", 1)
    assert [row["prediction"] for row in rows] == ["red"] + 24 * ["blue"]
    assert all(len(row["evidence"]) == 1 and Path("out", row["figure"]).exists() for row in rows)
    row = told(*explain, "--class", "green", "--stride-fix", "none")[0]
    assert (row["prediction"], row["target"]) == ("red", "green")
    assert "red" in vebi(*explain).out


@pytest.mark.usefixtures("run_here")
def test_arrays_are_data_without_code():
    """What is beside each picture can be read without unpickling, and fits it."""
    (row,) = told(*EXPLAIN, "--features", 2)
    with np.load(Path("out", row["arrays"]), allow_pickle=False) as held:
        arrays = dict(held)
    n = len(row["evidence"])
    assert n and {name: (a.shape, a.dtype.kind) for name, a in arrays.items()} == {
        "picture": ((32, 32, 3), "u"),
        "heatmaps": ((n, 32, 32), "f"),
        "features": ((n,), "U"),
        "contributions": ((n,), "f"),
        "combined": ((32, 32), "f"),
    }
    assert arrays["features"].tolist() == [e["feature"] for e in row["evidence"]]
    assert arrays["contributions"].tolist() == [e["contribution"] for e in row["evidence"]]
    assert (arrays["picture"] == np.asarray(Image.open("pictures/red/00.png"))).all()
    assert 0 == arrays["combined"].min() < arrays["combined"].max() == 1


def test_rules_and_stride_fixes_lead_to_maps_of_their_own():
    """Of features above another activation function; below the first one rules do not differ."""
    vebi(*FIT, "--out", "run", "--layers", "relu")
    maps = {}
    for rule, fix in [("guided", "centred"), ("deconvnet", "centred"), ("gradient", "centred"), ("guided", "nearest")]:
        (row,) = told(*EXPLAIN, "--rule", rule, "--stride-fix", fix)
        maps[rule, fix] = np.load(Path("out", row["arrays"]))["heatmaps"].tobytes()
        assert json.loads(Path("out/explanations.json").read_text())["provenance"]["options"]["rule"] == rule
    assert len(set(maps.values())) == 4
    (row,) = told(*EXPLAIN)
    assert np.load(Path("out", row["arrays"]))["heatmaps"].tobytes() == maps["guided", "centred"]


@pytest.mark.usefixtures("run_here")
def test_what_is_explained_does_not_depend_on_the_size_of_a_batch():
    explain = ("explain", "run", "pictures", "--out", "out", "--model", "network.py:Net")
    for one, other in zip(told(*explain), told(*explain, "--batch-size", 5), strict=True):
        assert one["image"] == other["image"] and one["prediction"] == other["prediction"]
        assert [e["feature"] for e in one["evidence"]] == [e["feature"] for e in other["evidence"]]


@pytest.mark.usefixtures("run_here")
def test_a_bomb_is_skipped():
    Image.new("1", (10_000, 10_000)).save("bomb.png")
    said = vebi("explain", "run", "bomb.png", *EXPLAIN[2:]).err
    assert "1 of 2 pictures could not be decoded and were skipped, first: bomb.png has 10000 x 10000" in said


# --- report ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run_here")
def test_a_report_on_the_pictures_of_the_fit():
    """They are found where they were; the page says how often the model is right on them."""
    found = told(*REPORT, "--title", "Squares & more")
    assert found["report"] == "page/report.html" and found["looked_at"] == found["total"] == 72
    assert found["accuracy"] == 1 and found["right"] == found["labelled"] == dict(blue=24, green=24, red=24)
    assert found["auc_iou"] == {} and found["scored"] == 0
    page = Path("page/report.html").read_text(encoding="utf-8")
    assert "Squares &amp; more" in page and "Squares & more" not in page
    assert not re.search(r"(src|href)=.?(https?:|/|file:)", page)
    assert [p.name for p in Path("page").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("run_here")
def test_a_report_on_other_pictures_with_masks():
    """Masks that hold the square give a score above 0 for every method."""
    shutil.copytree("pictures/red", "some/red")
    shutil.copytree("pictures/blue", "some/blue")
    for path in Path("some").rglob("*.png"):
        mask = Path("masks", *path.parts[1:])
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * (np.asarray(Image.open(path)).min(axis=2) < 120).astype(np.uint8)).save(mask)
    found = told(*REPORT, "--images", "some", "--masks", "masks", "--batch-size", 5)
    assert found["looked_at"] == found["scored"] == 48 and found["labelled"] == dict(blue=24, green=0, red=24)
    assert found["auc_iou"] and all(0 < score < 100 for score in found["auc_iou"].values())


@pytest.mark.usefixtures("run_here")
def test_a_report_on_some_classes():
    pages = {}
    for name, options in (("all", ()), ("some", ("--class", "red", "--class", "blue"))):
        said = vebi("report", "run", "--out", f"{name}.html", "--model", "network.py:Net", *options)
        assert (said.out, said.err) == ("", f"look at {name}.html\n")
        pages[name] = Path(f"{name}.html").read_text(encoding="utf-8")
    anchors = {name: set(re.findall(r'id="class-\d-(\w+)"', page)) for name, page in pages.items()}
    assert anchors == {"all": {"blue", "green", "red"}, "some": {"blue", "red"}}


def test_a_report_when_the_pictures_have_moved(run_here):
    shutil.move("pictures", "elsewhere")
    place_of_pictures(run_here, "pictures")
    assert "the pictures of the run are not in pictures any more" in fails(3, *REPORT)
    assert not Path("page/report.html").exists()
    assert told(*REPORT, "--images", "elsewhere")["accuracy"] == 1


# --- flowers --------------------------------------------------------------------------------------------------------


def test_flowers_train_and_layers():
    """A data set of the smallest kind, a checkpoint that is a model of its own, and both left as they are."""
    flowers = ("flowers", "data", "--images-per-class", 5, "--size", 16, "--seed", 1)
    assert told(*flowers)["images_per_class"] == 5
    assert "6 classes of 5 pictures with masks are in data" in vebi(*flowers).err
    assert "data holds a data set with seed 1, not 0" in fails(3, *flowers[:-2])
    train = ("train", "data", "--out", "network.safetensors", "--epochs", 1)
    found = told(*train)
    assert found["images"] == 24 and found["held_out"] == 6 and 0 <= found["accuracy"] <= 1
    assert "of 6 held-out pictures are right" in vebi(*train).err
    assert "holds a network of other data or settings" in fails(3, *train, "--seed", 1)
    assert told("layers", "network.safetensors")[0]["height"] == 56  # half of the 112 that the network takes


def test_a_report_on_flowers_brings_its_own_masks(tmp_path):
    generate(tmp_path / "data", images_per_class=5, size=48)
    vebi("train", "data", "--out", "network.safetensors", "--epochs", 1)
    vebi("fit", "network.safetensors", "data", "--mu", 1, "--out", "run", "--batch-size", 6)
    found = told("report", "run", "--out", "report.html")
    assert found["looked_at"] == 30 and 0 < found["scored"] <= 30
    (mask,) = list(Path("data/masks/red").glob("*_r0.png"))
    mask.write_bytes(mask.read_bytes()[:-60])
    assert f"{mask.name} is no mask that can be read" in fails(3, "report", "run", "--out", "report.html")


# --- processes ------------------------------------------------------------------------------------------------------

VEBI = [sys.executable, "-c", "from vebi.cli.main import main; main()"]


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["explain", "--help"]])
def test_help_does_not_wait_for_torch(arguments):
    code = f"""
import sys
sys.argv = ["vebi", *{arguments!r}]
from vebi.cli.main import main
try:
    main()
finally:
    assert not {{"torch", "numpy", "sklearn"}} & sys.modules.keys()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "") and "Usage" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--version"], ["doctor"], ["layers", *MODEL], ["layers", *MODEL, "--json"]], ids=" ".join
)
def test_a_reader_that_has_gone_is_no_error(arguments):
    command = subprocess.Popen(
        [*VEBI, *arguments],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait(60) == 0


def test_an_interrupted_fit_ends_with_130_and_resumes():
    slow = subprocess.Popen(
        [*VEBI, *map(str, FIT), "--out", "run", "--batch-size", "4"],
        env=os.environ | {"NAP": "0.1", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not Path("run/table").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        slow.send_signal(signal.SIGINT)
        _, said = slow.communicate(timeout=30)
    finally:
        slow.kill()
    assert slow.returncode == 130
    assert said.splitlines() == ["vebi: interrupted; the same command goes on where it was"]
    assert not Path("run/interpretation.json").exists()
    resumed = told(*FIT, "--out", "run", "--batch-size", 4)
    fresh = told(*FIT, "--out", "fresh", "--batch-size", 4)
    assert resumed["classes"] == fresh["classes"]
