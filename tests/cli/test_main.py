"""The commands as a user meets them: one sentence and the right exit code, whatever is given."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from vebi.cli.main import app

NETWORK = """
import os, time
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    mean, std, size, class_names = (0.5,) * 3, (0.25,) * 3, 32, ("blue", "green", "red")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.linear = nn.Linear(12, 3)

    def forward(self, x):
        time.sleep(float(os.environ.get("NAP", 0)))
        x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))

class Two(Net):
    def forward(self, x):
        return super().forward(x), x

class Boundless(Net):
    def forward(self, x):
        F.relu(super().forward(x).exp() * 1e38 * 1e38)
        return super().forward(x)

def bare():
    net = Net()
    net.mean = net.std = net.size = None
    return net

def unnamed():
    net = Net()
    net.class_names = None
    return net
"""


@pytest.fixture(autouse=True)
def here(tmp_path, squares, toy_module, monkeypatch):
    """A folder with network.py, w.safetensors and pictures/, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), "w.safetensors")
    shutil.copytree(squares, "pictures")


def vebi(*arguments, code: int = 0) -> str:
    """Runs a command and returns its stdout, after checking its exit code; stderr is ``vebi.said``."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    vebi.said = result.stderr
    assert result.exit_code == code, result.stderr
    return result.stdout


def fails(code: int, *arguments) -> str:
    """Runs a command that must fail with a code and one sentence on stderr; returns the sentence."""
    assert vebi(*arguments, code=code) == ""
    lines = vebi.said.splitlines()
    assert [line for line in lines if not line.startswith("note: ")] == lines[-1:] and lines[-1].startswith("vebi: ")
    return lines[-1]


MODEL = ("network.py:Net", "--weights", "w.safetensors")
FIT = ("fit", "network.py:Net", "pictures", "--weights", "w.safetensors", "--mu", 1)


def truncate(path: str, size: int) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:size])


# --- what works -----------------------------------------------------------------------------------------------------


def test_layers():
    found = json.loads(vebi("layers", *MODEL, "--json"))
    assert [layer["name"] for layer in found if layer["default"]] == ["relu1", "relu"]
    assert found[0] == dict(name="conv1", kind="Conv2d", channels=8, height=16, width=16, default=False)
    assert "conv1" in vebi("layers", *MODEL)


def test_fit_and_explain():
    told = json.loads(vebi(*FIT, "--out", "run", "--json"))
    assert told["mu"] == 1 and told["accuracy"] == 1 and list(told["classes"]) == ["blue", "green", "red"]
    for held in told["classes"].values():
        assert held["features"] and held["gap"] <= 1e-6
    assert json.loads(vebi(*FIT, "--out", "run", "--json")) == told  # the same settings find the same result
    assert "relu" in vebi(*FIT, "--out", "run")
    explain = ("explain", "run", "pictures/red/00.png", "pictures/blue", "--model", "network.py:Net")
    rows = json.loads(vebi(*explain, "--out", "out", "--json", "--features", 1))
    assert [row["prediction"] for row in rows] == ["red"] + 24 * ["blue"]
    assert all(len(row["evidence"]) == 1 and Path("out", row["figure"]).exists() for row in rows)
    row = json.loads(vebi(*explain, "--out", "out", "--json", "--class", "green", "--stride-fix", "none"))[0]
    assert (row["prediction"], row["target"]) == ("red", "green")
    assert "red" in vebi(*explain, "--out", "out")


def test_skipped_pictures_are_noted():
    truncate("pictures/red/00.png", 200)
    Path("pictures/red/01.png").write_text("no picture")
    vebi(*FIT, "--out", "run")
    assert "note: 2 of 72 pictures could not be decoded and were skipped, first: pictures/red/00.png" in vebi.said
    provenance = json.loads(Path("run/interpretation.json").read_text())["provenance"]
    assert list(provenance["skipped"]) == ["red/00.png", "red/01.png"]
    assert "also red/01.png" in vebi.said


def test_class_names_from_the_folders_are_noted():
    vebi("fit", "network.py:unnamed", "pictures", "--weights", "w.safetensors", "--mu", 1, "--out", "run")
    assert "note: the model does not name its classes; they are taken from the folders" in vebi.said


def test_class_names_from_an_option():
    fit = ("fit", "network.py:unnamed", "pictures", "--weights", "w.safetensors", "--mu", 1, "--out", "run")
    told = json.loads(vebi(*fit, "--classes", "blue, green,red", "--json"))
    assert list(told["classes"]) == ["blue", "green", "red"] and told["accuracy"] == 1 and "names" not in vebi.said


def test_preparation_from_options():
    options = ("--mean", "0.5,0.5,0.5", "--std", "0.25,.25,0.25", "--size", 32)
    assert vebi("layers", "network.py:bare", *options)


# --- bad data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("missing", "missing does not exist"),
        ("empty", "empty holds no pictures"),
        ("one", "one holds pictures of one class only"),
        ("other", "of other are blue, green, rot, but the model's classes are blue, green, red, without rot"),
        ("notes.png", "no picture could be decoded"),
    ],
)
def test_data_that_cannot_be_used(folder, sentence):
    Path("empty").mkdir()
    shutil.copytree("pictures/red", "one/red")
    shutil.copytree("pictures", "other")
    Path("other/red").rename("other/rot")
    Path("notes.png").write_text("no picture")
    assert sentence in fails(3, "fit", *MODEL, folder, "--out", "run")


def test_strict_stops_at_a_bad_picture():
    truncate("pictures/red/03.png", 200)
    assert "pictures/red/03.png is damaged or truncated" in fails(3, *FIT, "--out", "run", "--strict")


# --- bad models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (3, ("missing.py:Net",), "missing.py does not exist"),
        (3, ("network.py:missing",), "has no function 'missing'"),
        (3, ("network.py:Two",), "the model gives tuple, but N x C"),
        (3, (*MODEL[:2], "pictures/red/00.png"), "cannot be read without unpickling code or is damaged"),
        (3, (*MODEL[:2], "missing.pt"), "missing.pt is no file"),
        (3, ("w.safetensors",), "holds weights alone"),
        (2, ("network.py",), "names no model"),
        (2, ("network.py:bare",), "does not say its mean, std, size"),
        (2, (*MODEL, "--mean", "0.5,x,1"), "--mean is '0.5,x,1', but numbers separated by commas are needed"),
        (2, (*MODEL, "--std", "1,1"), "mean is (0.5, 0.5, 0.5) and std (1.0, 1.0)"),
        (2, (*MODEL, "--std", "1,1,nan"), "std above 0"),
        (2, (*MODEL, "--size", "0"), "size is 0"),
        (1, ("torchvision:resnet18",), "needs the package torchvision, which is not installed"),
    ],
)
def test_models_that_cannot_be_used(monkeypatch, code, arguments, sentence):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert sentence in fails(code, "layers", *arguments)


def test_activations_that_are_not_finite():
    assert "activations of relu" in fails(3, "fit", "network.py:Boundless", "pictures", "--out", "run")


# --- bad options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        *[(("--mu", mu), f"mu is {mu}") for mu in ("0", "-1", "nan", "inf")],
        (("--layers", "zz*"), "no layer is called 'zz*'"),
        (("--labels", "x"), "labels is 'x'"),
        (("--energy", "x"), "energy is 'x'"),
        (("--batch-size", "0"), "batch_size is 0"),
        (("--classes", "a,a,b"), "two classes are called 'a'"),
    ],
)
def test_options_of_fit_that_cannot_be(options, sentence):
    assert sentence in fails(2, *FIT, "--out", "run", *options)
    assert not Path("run").exists()


def test_an_option_that_is_unknown_is_a_usage_error():
    vebi("fit", "network.py:Net", "pictures", "--out", "run", "--nu", "1", code=2)


# --- bad output folders ---------------------------------------------------------------------------------------------


def test_output_folders_that_are_taken():
    vebi(*FIT, "--out", "run")
    before = Path("run/interpretation.json").read_bytes()
    assert "run holds a run with mu 1.0, not 2.0" in fails(3, *FIT, "--out", "run", "--mu", "2")
    assert Path("run/interpretation.json").read_bytes() == before
    assert "pictures holds other files and no run" in fails(3, *FIT, "--out", "pictures")
    assert "(it is a file)" in fails(3, *FIT, "--out", "w.safetensors")
    assert "(Not a directory)" in fails(3, *FIT, "--out", "w.safetensors/run")


# --- explain --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory, squares, toy_module):
    """A run of ``network.py:Net``."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), folder / "w.safetensors")
    before = Path.cwd()
    os.chdir(folder)
    try:
        vebi("fit", "network.py:Net", squares, "--weights", "w.safetensors", "--mu", 1, "--out", "run")
    finally:
        os.chdir(before)
    return folder / "run"


EXPLAIN = ("explain", "run", "pictures/red/00.png", "--out", "out", "--model", "network.py:Net")


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (3, EXPLAIN[:-2], "a run never names code to execute: give it with --model"),
        (3, (*EXPLAIN, "--weights", "other.safetensors"), "made with other weights"),
        (3, ("explain", "run", "missing.png", *EXPLAIN[3:]), "missing.png does not exist"),
        (3, ("explain", "run", "network.py", *EXPLAIN[3:]), "none of the 1 files could be decoded"),
        (3, ("explain", "run", "pictures/red", "network.py", *EXPLAIN[3:], "--strict"), "network.py is not a picture"),
        (3, ("explain", "pictures", *EXPLAIN[2:]), "pictures is no run folder"),
        (3, ("explain", "missing", *EXPLAIN[2:]), "missing is no run folder"),
        (3, (*EXPLAIN, "--out", "pictures/blue"), "holds other files and no explanations"),
        (3, (*EXPLAIN, "--out", "network.py"), "(it is a file)"),
        (2, (*EXPLAIN, "--class", "rot"), "there is no class 'rot'"),
        (2, (*EXPLAIN, "--stride-fix", "x"), "the stride fix is 'x'"),
        (2, (*EXPLAIN, "--features", "0"), "features is 0"),
    ],
)
def test_explanations_that_cannot_be(finished, toy_module, code, arguments, sentence):
    shutil.copytree(finished, "run")
    save_file({k: v + 1 for k, v in toy_module.state_dict().items()}, "other.safetensors")
    assert sentence in fails(code, *arguments)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "[]"),
        ("run.json", "{"),
        ("run.json", '{"format": "vebi-run-2"}'),
        ("run.json", '{"format": "vebi-run-2", "settings": {}}'),
        ("run.json", None),
        ("interpretation.json", "[]"),
        ("interpretation.json", "{"),
        ("interpretation.json", '{"format": "vebi-run-2"}'),
        ("interpretation.json", None),
        ("interpretation.safetensors", "damaged"),
        ("interpretation.safetensors", None),
    ],
)
def test_a_damaged_run(finished, name, content):
    shutil.copytree(finished, "run")
    Path("run", name).unlink() if content is None else Path("run", name).write_text(content)
    fails(3, *EXPLAIN)


def test_a_truncated_run(finished):
    for name in ("run.json", "interpretation.json", "interpretation.safetensors"):
        shutil.copytree(finished, "run", dirs_exist_ok=True)
        truncate(f"run/{name}", 200)
        fails(3, *EXPLAIN)


def test_a_bomb_is_skipped(finished):
    shutil.copytree(finished, "run")
    Image.new("1", (10_000, 10_000)).save("bomb.png")
    vebi("explain", "run", "bomb.png", *EXPLAIN[2:])
    assert "1 of 2 pictures could not be decoded and were skipped, first: bomb.png has 10000 x 10000" in vebi.said


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


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_gone_is_no_error(options):
    command = subprocess.Popen(
        [*VEBI, "layers", *MODEL, *options],
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
    resumed = json.loads(vebi(*FIT, "--out", "run", "--batch-size", 4, "--json"))
    fresh = json.loads(vebi(*FIT, "--out", "fresh", "--batch-size", 4, "--json"))
    assert resumed["classes"] == fresh["classes"]
