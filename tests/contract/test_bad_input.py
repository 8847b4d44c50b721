"""Everything that a user can get wrong, option by option and file by file, is told in one sentence with its facts."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from cli_support import MODEL, fails, truncate
from PIL import Image
from safetensors.torch import save_file
from support import write_unsigned

from vebi.models.flowernet import FlowerNet


class Trap:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return open, ("trapped", "w")


def write_masks(folder: str, size: int = 32, value: int = 255) -> None:
    """A mask for every image."""
    for path in Path("images").rglob("*.png"):
        mask = Path(folder, *path.parts[1:])
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (size, size), value).save(mask)


def write_data() -> None:
    Path("empty").mkdir()
    Path("empty.png").touch()
    Path("notes.txt").write_text("no image")
    Path("notes.png").write_text("no image")
    shutil.copytree("images/red", "one/red")
    shutil.copytree("images", "other")
    Path("other/red").rename("other/rot")
    for name in ("blue", "green", "red"):
        Path("broken", name).mkdir(parents=True)
        Path("broken", name, "00.png").write_text("no image")
        Path("hollow", name).mkdir(parents=True)
    shutil.copytree("images", "cut")
    truncate("cut/red/03.png", 200)
    write_masks("masks")
    write_masks("small-masks", size=16)
    write_masks("black-masks", value=0)
    write_masks("broken-masks")
    for path in Path("broken-masks").rglob("*.png"):
        path.write_text("no image")


def write_models(weights: dict[str, torch.Tensor]) -> None:
    Path("typo.py").write_text("def Net(:")
    Path("lost.py").write_text("import nothing_of_this_name")
    Path("quits.py").write_text("raise SystemExit(0)")
    save_file(FlowerNet(3).state_dict(), "flower.safetensors")
    save_file({k: v + 1 for k, v in weights.items()}, "shifted.safetensors")
    save_file({k: v * torch.nan for k, v in weights.items()}, "nan.safetensors")
    shutil.copy("w.safetensors", "cut.safetensors")
    truncate("cut.safetensors", 500)
    Path("text.safetensors").write_text("no weights")
    Path("empty.pt").touch()
    Path("code.pt").write_bytes(pickle.dumps(Trap()))
    torch.save([1, 2], "list.pt")


def write_runs() -> None:
    def damaged(name: str, file: str, change) -> None:
        shutil.copytree("run", name)
        path = Path(name, file)
        content = json.loads(path.read_text())
        change(content)
        write_unsigned(path, content)

    damaged("odd", "run.json", lambda content: content.pop("format"))
    damaged("formless", "run.json", lambda content: content["settings"].pop("preprocess"))
    damaged("made-in-python", "run.json", lambda content: content["settings"]["model"].update(spec=None))
    damaged("moved", "interpretation.json", lambda content: content["settings"]["data"].update(folder="gone"))
    damaged("placeless", "interpretation.json", lambda content: content["settings"]["data"].update(folder=None))
    damaged("wordy", "interpretation.json", lambda content: content.update(mus=["much"] * 3))
    for name in ("cut-run", "cut-result", "cut-arrays", "unfinished", "cut-table"):
        shutil.copytree("run", name)
    truncate("cut-run/run.json", 200)
    truncate("cut-result/interpretation.json", 200)
    truncate("cut-arrays/interpretation.safetensors", 200)
    Path("unfinished/interpretation.json").unlink()
    Path("cut-table/interpretation.json").unlink()
    truncate("cut-table/table/shard-00000.safetensors", 500)


CONFIGS = {
    "words.toml": "mu is five",
    "loose.toml": "mu = 5",
    "stranger.toml": "[fitt]\nmu = 5",
    "key.toml": "[layers]\nmu = 5",
    "flag.toml": "[layers]\njson = 1",
    "date.toml": "[layers]\nsize = 1979-05-27",
    "table.toml": "[layers.mean]\nred = 0.5",
    "text.toml": "[layers]\nsize = 'big'",
    "half.toml": "[layers]\nsize = 32.5",
    "comma.toml": "[layers]\nclasses = ['a,b', 'c', 'd']",
    "nothing.toml": "[layers]\nlayers = []",
    "itself.toml": "[layers]\nconfig = 'words.toml'",
}


@pytest.fixture(scope="module")
def zoo(finished, toy_module, tmp_path_factory) -> Path:
    """``finished`` and every bad file of the tables below."""
    folder = tmp_path_factory.mktemp("zoo") / "zoo"
    shutil.copytree(finished, folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        write_data()
        write_models(toy_module.state_dict())
        write_runs()
        for name, text in CONFIGS.items():
            Path(name).write_text(text)
        os.mkfifo("pipe.toml")
        with Path("huge.toml").open("wb") as file:
            file.truncate(2**33)
        Path("latin.toml").write_bytes("[fit]\nout = '\xe9'".encode("latin-1"))
        Path("latin.txt").write_bytes("\xe9".encode("latin-1"))
        Path("two.txt").write_text("blue\ngreen\n")
        Path("blank.txt").write_text("\n\n")
        Path("flowers").mkdir()
        Path("flowers/dataset.json").write_text('{"variant": "double-12c"}')
        Path("cut-flowers").mkdir()
        Path("cut-flowers/dataset.json").write_text('{"variant": ')
    return folder


def contents() -> dict[str, int]:
    """Every file and folder here with its size, but what Python keeps for itself."""
    return {str(p): p.stat().st_size for p in Path().rglob("*") if "__pycache__" not in str(p) and p.is_file()}


@pytest.fixture(autouse=True)
def workspace(zoo, monkeypatch) -> Path:
    """The zoo as the current folder, which no command that fails may change: what is new is in ``new``."""
    monkeypatch.chdir(zoo)
    for package in ("torchvision", "timm"):
        monkeypatch.setitem(sys.modules, package, None)
    before = contents()
    yield zoo
    shutil.rmtree("new", ignore_errors=True)
    assert contents() == before


LAYERS = ("layers", *MODEL)
FIT = ("fit", *MODEL, "images", "--out", "new")
RUN_OF = ("--model", "network.py:Net")
EXPLAIN = ("explain", "run", "images/red/00.png", "--out", "new", *RUN_OF)
REPORT = ("report", "run", "--out", "new/report.html", *RUN_OF)
FLOWERS = ("flowers", "new")
TRAIN = ("train", "images", "--out", "new/network.safetensors")

#: The command line, the exit code, and the facts that the sentence names.
LINES = [
    (("fitt",), 2, ("'fitt'", "'fit'", "`vebi --help`")),
    (("--nu",), 2, ("--nu", "`vebi --help`")),
    (("layers",), 2, ("argument 'spec'", "`vebi layers --help`")),
    (("fit", *MODEL), 2, ("argument 'data'", "`vebi fit --help`")),
    (("fit", *MODEL, "images"), 2, ("'--out'", "`vebi fit --help`")),
    (("explain", "run", "--out", "new"), 2, ("argument 'images'", "`vebi explain --help`")),
    (("explain", "run", "images"), 2, ("'--out'", "`vebi explain --help`")),
    (("report",), 2, ("argument 'run'", "`vebi report --help`")),
    (("path",), 2, ("argument 'run'", "`vebi path --help`")),
    (("train", "images"), 2, ("'--out'", "`vebi train --help`")),
    (("flowers",), 2, ("argument 'folder'", "`vebi flowers --help`")),
    ((*LAYERS, "extra"), 2, ("(extra)", "`vebi layers --help`")),
    ((*FIT, "--nu", 1), 2, ("--nu", "--mu", "`vebi fit --help`")),
    ((*FIT, "--mu"), 2, ("'--mu'", "`vebi fit --help`")),
    ((*FIT, "--strict=yes"), 2, ("'--strict'", "`vebi fit --help`")),
    (("demo", "here"), 2, ("(here)", "`vebi demo --help`")),
    (("doctor", "me"), 2, ("(me)", "`vebi doctor --help`")),
]

OPTIONS = [
    ((*FIT, "--mu", 0), 2, ("mu is 0.0", "above 0")),
    ((*FIT, "--mu", -1), 2, ("mu is -1.0", "above 0")),
    ((*FIT, "--mu", "nan"), 2, ("mu is nan", "above 0")),
    ((*FIT, "--mu", "inf"), 2, ("mu is inf", "above 0")),
    ((*FIT, "--mu", "five"), 2, ("'--mu'", "above 0", "auto", "five", "`vebi fit --help`")),
    ((*FIT, "--batch-size", 0), 2, ("batch_size is 0",)),
    ((*FIT, "--batch-size", 1.5), 2, ("'--batch-size'", "integer", "1.5")),
    ((*FIT, "--labels", "both"), 2, ("labels is 'both'", "predicted", "true")),
    ((*FIT, "--energy", "l1"), 2, ("energy is 'l1'", "squared", "l2")),
    ((*FIT, "--layers", "zz*"), 2, ("'zz*'", "`vebi layers`")),
    ((*FIT, "--layers", "relu", "--layers", "relu9"), 2, ("'relu9'", "`vebi layers`")),
    ((*FIT, "--classes", "a,a,b"), 2, ("two classes", "'a'")),
    ((*FIT, "--classes", "red"), 3, ("--classes is 'red'", "no file")),
    ((*FIT, "--classes", "a,b"), 3, ("3 class scores", "2 class names")),
    ((*FIT, "--classes", ","), 3, ("--classes is ','", "no names")),
    ((*LAYERS, "--layers", "zz*"), 2, ("'zz*'",)),
    ((*LAYERS, "--mean", "0.5,x,1"), 2, ("--mean is '0.5,x,1'",)),
    ((*LAYERS, "--mean", ""), 2, ("--mean is ''",)),
    ((*LAYERS, "--mean", "nan,0,0"), 2, ("mean is (nan, 0.0, 0.0)",)),
    ((*LAYERS, "--mean", "0.5"), 2, ("mean is (0.5,)", "std (0.25, 0.25, 0.25)")),
    ((*LAYERS, "--mean", "0.5", "--std", "1"), 3, ("the model fails", "(1, 1, 32, 32)")),
    ((*LAYERS, "--std", "1,1"), 2, ("std (1.0, 1.0)",)),
    ((*LAYERS, "--std", "1,1,0"), 2, ("std (1.0, 1.0, 0.0)", "std above 0")),
    ((*LAYERS, "--size", 0), 2, ("size is 0",)),
    ((*LAYERS, "--size", "big"), 2, ("'--size'", "integer", "big")),
    ((*LAYERS, "--size", 10**9), 3, ("the model fails", "(1, 3, 1000000000, 1000000000)")),
    ((*LAYERS, "--resize", 31), 2, ("size is 32", "resize 31")),
    ((*LAYERS, "--resize", 0), 2, ("resize 0",)),
    ((*LAYERS, "--interpolation", "box"), 2, ("interpolation is 'box'", "bilinear")),
    ((*LAYERS, "--device", "tpu"), 2, ("device", "'tpu'", "cpu")),
    ((*LAYERS, "--device", "cuda:99"), 2, ("device", "'cuda:99'", "cpu")),
    (("layers", "network.py:bare", "--size", 32), 2, ("network.py:bare", "mean, std")),
    ((*EXPLAIN, "--features", 0), 2, ("features is 0",)),
    ((*EXPLAIN, "--max-features", 0), 2, ("max_features is 0",)),
    ((*EXPLAIN, "--features", "all"), 2, ("'--features'", "integer", "all")),
    ((*EXPLAIN, "--class", "rot"), 2, ("class 'rot'", "blue, green, red")),
    ((*EXPLAIN, "--rule", "lrp"), 2, ("rule is 'lrp'", "guided")),
    ((*EXPLAIN, "--stride-fix", "off"), 2, ("--stride-fix is 'off'", "centred, nearest, none")),
    ((*EXPLAIN, "--batch-size", -3), 2, ("batch_size is -3",)),
    ((*EXPLAIN, "--device", "gpu"), 2, ("device", "'gpu'", "cpu")),
    ((*REPORT, "--class", "rot"), 2, ("class 'rot'", "blue, green, red")),
    ((*REPORT, "--class", "red", "--class", "rot"), 2, ("class 'rot'", "blue, green, red")),
    ((*REPORT, "--batch-size", 0), 2, ("batch_size is 0",)),
    ((*REPORT, "--device", ""), 2, ("device", "''", "cpu")),
    ((*FLOWERS, "--variant", "triple"), 2, ("variant 'triple'", "single-6c, double-12c")),
    ((*FLOWERS, "--images-per-class", 0), 2, ("images_per_class is 0", "1 to 1000")),
    ((*FLOWERS, "--images-per-class", 1001), 2, ("images_per_class is 1001", "1 to 1000")),
    ((*FLOWERS, "--size", 8), 2, ("size is 8", "16 to 1024")),
    ((*FLOWERS, "--seed", -1), 2, ("--seed is -1", "from 0")),
    ((*FLOWERS, "--background", "sky"), 2, ("background 'sky'", "plain, noise, gradient")),
    ((*TRAIN, "--epochs", 0), 2, ("epochs is 0",)),
    ((*TRAIN, "--fold", 5), 2, ("fold 5", "from 0 to 4")),
    ((*TRAIN, "--seed", "x"), 2, ("'--seed'", "integer", "x")),
    ((*TRAIN, "--seed", -1), 2, ("--seed is -1", "from 0")),
    ((*TRAIN, "--seed", 2**70), 2, ("--seed is 1180591620717411303424",)),
]

MODELS = [
    (("layers", "network.py"), 2, ("'network.py'", "FILE.py:FUNCTION")),
    (("layers", ""), 2, ("''", "FILE.py:FUNCTION")),
    (("layers", "keras:resnet"), 2, ("'keras:resnet'", "FILE.py:FUNCTION")),
    (("layers", "images:Net"), 2, ("'images:Net'", "FILE.py:FUNCTION")),
    (("layers", "missing.py:Net"), 3, ("missing.py does not exist",)),
    (("layers", "network.py:missing"), 3, ("network.py", "function 'missing'")),
    (("layers", "network.py:"), 3, ("network.py", "function ''")),
    (("layers", "network.py:nothing"), 3, ("network.py:nothing", "NoneType", "torch.nn.Module")),
    (("layers", "network.py:raises"), 3, ("network.py:raises", "RuntimeError: mine and more")),
    (("layers", "typo.py:Net"), 3, ("typo.py:Net", "SyntaxError")),
    (("layers", "lost.py:Net"), 3, ("lost.py:Net", "No module named 'nothing_of_this_name'")),
    (("layers", "quits.py:Net"), 3, ("quits.py:Net", "SystemExit")),
    (("layers", "network.py:Two"), 3, ("tuple", "N x C")),
    (("fit", "network.py:Plain", "images", "--out", "new"), 2, ("no activation function", "name the layers")),
    (("fit", "network.py:Boundless", "images", "--out", "new"), 3, ("relu#2", "NaN or infinity")),
    (("layers", "torchvision:resnet18"), 1, ("torchvision, which is not installed", "pip install 'vebi[models]'")),
    (("layers", "timm:resnet18"), 1, ("timm, which is not installed", "pip install 'vebi[models]'")),
    (("layers", "vebi:flowernet"), 3, ("vebi:flowernet", "`vebi train`")),
    (("layers", "missing.safetensors"), 3, ("missing.safetensors is no file",)),
    (("layers", "w.safetensors"), 3, ("w.safetensors", "weights alone")),
    (("layers", "text.safetensors"), 3, ("text.safetensors", "intact safetensors")),
    ((*LAYERS[:-1], "missing.pt"), 3, ("missing.pt is no file",)),
    ((*LAYERS[:-1], "images"), 3, ("images is no file",)),
    ((*LAYERS[:-1], "empty.pt"), 3, ("empty.pt", "unpickling")),
    ((*LAYERS[:-1], "code.pt"), 3, ("code.pt", "unpickling")),
    ((*LAYERS[:-1], "list.pt"), 3, ("list.pt", "state_dict")),
    ((*LAYERS[:-1], "images/red/00.png"), 3, ("images/red/00.png", "unpickling")),
    ((*LAYERS[:-1], "cut.safetensors"), 3, ("cut.safetensors", "intact safetensors")),
    ((*LAYERS[:-1], "flower.safetensors"), 3, ("flower.safetensors", "conv1.weight", "size mismatch")),
    ((*LAYERS[:-1], "nan.safetensors"), 3, ("NaN or infinity", "conv1.weight")),
    ((*LAYERS, "--classes", "latin.txt"), 3, ("latin.txt is no text file",)),
    ((*LAYERS, "--classes", "two.txt"), 3, ("3 class scores", "2 class names", "blue, green")),
    ((*LAYERS, "--classes", "blank.txt"), 3, ("blank.txt has no names",)),
    ((*LAYERS, "--classes", "missing.txt"), 3, ("--classes is 'missing.txt'", "no file")),
]

DATA = [
    (("fit", *MODEL, "missing", "--out", "new"), 3, ("missing does not exist",)),
    (("fit", *MODEL, "empty", "--out", "new"), 3, ("empty", "no images")),
    (("fit", *MODEL, "hollow", "--out", "new"), 3, ("hollow", "no images")),
    (("fit", *MODEL, "one", "--out", "new"), 3, ("one ", "one class only (red)", "two")),
    (("fit", *MODEL, "other", "--out", "new"), 3, ("other", "blue, green, rot", "blue, green, red")),
    (("fit", *MODEL, "broken", "--out", "new"), 3, ("broken/blue/00.png", "decoded")),
    (("fit", *MODEL, "notes.txt", "--out", "new"), 3, ("notes.txt", "decoded")),
    (("fit", *MODEL, "w.safetensors", "--out", "new"), 3, ("w.safetensors", "decoded")),
    (("fit", *MODEL, "cut", "--out", "new", "--strict"), 3, ("cut/red/03.png", "damaged or truncated")),
    ((*FIT[:-1], "images"), 3, ("images holds other files", "no run")),
    ((*FIT[:-1], "notes.txt"), 3, ("notes.txt", "folder", "a file is in its way")),
    ((*FIT[:-1], "notes.txt/new"), 3, ("notes.txt/new", "folder", "a file is in its way")),
    ((*FIT[:-1], "run"), 3, ("run holds a run with", "mu 1.0, not none")),
    ((*FIT[:-1], "cut-run"), 3, ("cut-run/run.json is damaged",)),
    (("fit", *MODEL, "images", "--mu", 1, "--out", "cut-result"), 3, ("cut-result/interpretation.json is damaged",)),
    (
        ("fit", *MODEL, "images", "--mu", 1, "--out", "cut-table"),
        3,
        ("cut-table/table/shard-00000.safetensors is damaged",),
    ),
    (("train", "missing", *TRAIN[2:]), 3, ("missing does not exist",)),
    (("train", "empty", *TRAIN[2:]), 3, ("empty", "no images")),
    (("train", "one", *TRAIN[2:]), 3, ("one ", "one class only (red)", "two")),
    (("train", "images/red", *TRAIN[2:]), 3, ("images/red", "no class folders")),
    (("train", "broken", *TRAIN[2:]), 3, ("decoded",)),
    (("train", "images", "--out", "new"), 2, ("written to new", ".safetensors")),
    ((*TRAIN, "--architecture", "resnet18"), 2, ("'resnet18'", "flowernet, flower-resnet, flower-vgg")),
    ((*TRAIN, "--folds-by", "class"), 2, ("'class'", "rotation, frame")),
    (("train", "images", "--out", "w.safetensors"), 3, ("w.safetensors", "other data or settings")),
    (("train", "images", "--out", "text.safetensors"), 3, ("text.safetensors", "intact safetensors")),
    (("train", "images", "--out", "notes.txt/new.safetensors"), 3, ("notes.txt", "folder", "file is in its way")),
    (("flowers", "notes.txt"), 3, ("notes.txt", "folder", "a file is in its way")),
    (("flowers", "notes.txt/new"), 3, ("notes.txt/new", "folder", "file is in its way")),
    (("flowers", "images"), 3, ("images is not empty", "data set")),
    (("flowers", "flowers"), 3, ("flowers holds a data set", "variant double-12c, not single-6c")),
    (("flowers", "cut-flowers"), 3, ("cut-flowers/dataset.json cannot be read",)),
    (("demo", "--out", "notes.txt"), 3, ("notes.txt", "folder", "file is in its way")),
    (("demo", "--out", "notes.txt/new"), 3, ("notes.txt/new", "folder", "file is in its way")),
]


def explain(run: str, *images: str, out: str = "new") -> tuple:
    return ("explain", run, *images, "--out", out, *RUN_OF)


def report(run: str, *options) -> tuple:
    return ("report", run, "--out", "new/report.html", *RUN_OF, *options)


RUNS = [
    (EXPLAIN[:-2], 3, ("network.py:Net", "--model FILE.py:FUNCTION")),
    (("explain", "made-in-python", *EXPLAIN[2:-2]), 3, ("made-in-python", "--model FILE.py:FUNCTION")),
    ((*EXPLAIN, "--weights", "shifted.safetensors"), 3, ("other weights",)),
    ((*EXPLAIN, "--weights", "missing.pt"), 3, ("missing.pt is no file",)),
    ((*EXPLAIN[:-1], "network.py:missing"), 3, ("network.py", "function 'missing'")),
    ((*EXPLAIN[:-1], "flower.safetensors"), 3, ("flower.safetensors", "weights alone")),
    (explain("missing", "images"), 3, ("missing is no run folder",)),
    (explain("images", "images"), 3, ("images is no run folder",)),
    (explain("notes.txt", "images"), 3, ("notes.txt is no run folder",)),
    (explain("odd", "images"), 3, ("odd/run.json", "format")),
    (explain("formless", "images"), 3, ("formless", "damaged", "preprocess")),
    (explain("wordy", "images"), 3, ("wordy", "damaged", "mu")),
    (explain("cut-run", "images"), 3, ("cut-run/run.json is damaged",)),
    (explain("cut-result", "images"), 3, ("cut-result/interpretation.json is damaged",)),
    (explain("cut-arrays", "images"), 3, ("cut-arrays", "damaged")),
    (explain("unfinished", "images"), 3, ("unfinished", "not finished", "`vebi fit`")),
    (explain("run", "missing.png"), 3, ("missing.png does not exist",)),
    (explain("run", "images", "missing"), 3, ("missing does not exist",)),
    (explain("run", "empty"), 3, ("empty", "no images")),
    (explain("run", "empty.png"), 3, ("none of the 1 ", "decoded", "empty.png")),
    (explain("run", "notes.txt"), 3, ("none of the 1 ", "decoded", "notes.txt")),
    (explain("run", "broken"), 3, ("none of the 3 ", "decoded", "broken/blue/00.png")),
    ((*explain("run", "cut/red"), "--strict"), 3, ("cut/red/03.png", "damaged or truncated")),
    (explain("run", "images", out="images/blue"), 3, ("images/blue", "images/blue/00.png", "another folder")),
    (explain("run", "images", out="masks"), 3, ("masks holds other files", "no explanations")),
    (explain("run", "images", out="notes.txt"), 3, ("notes.txt", "folder", "a file is in its way")),
    (explain("run", "images", out="notes.txt/new"), 3, ("notes.txt/new", "folder", "a file is in its way")),
    (report("missing"), 3, ("missing is no run folder",)),
    (report("unfinished"), 3, ("unfinished", "not finished", "`vebi fit`")),
    (report("moved"), 3, ("not in gone",)),
    (report("placeless"), 2, ("where its images are",)),
    ((*report("run")[:-2],), 3, ("network.py:Net", "--model FILE.py:FUNCTION")),
    (report("run", "--weights", "shifted.safetensors"), 3, ("other weights",)),
    (report("run", "--images", "missing"), 3, ("missing does not exist",)),
    (report("run", "--images", "empty"), 3, ("empty", "no images")),
    (report("run", "--images", "other"), 3, ("other", "blue, green, rot", "blue, green, red", "without rot")),
    (report("run", "--images", "broken"), 3, ("none of the 3 ", "decoded", "broken/blue/00.png")),
    (report("run", "--images", "notes.txt"), 3, ("none of the 1 ", "decoded", "notes.txt")),
    (report("run", "--masks", "missing"), 3, ("missing is no folder",)),
    (report("run", "--masks", "notes.txt"), 3, ("notes.txt is no folder",)),
    (report("run", "--masks", "empty"), 3, ("images/blue/00.png has no mask", "empty/blue/00.png")),
    (report("run", "--masks", "small-masks"), 3, ("small-masks/blue/00.png", "16 x 16", "32 x 32", "same size")),
    (report("run", "--masks", "black-masks"), 3, ("all 72 masks are empty",)),
    (report("run", "--masks", "broken-masks"), 3, ("broken-masks/blue/00.png", "decoded")),
    (("report", "run", "--out", "images", *RUN_OF), 2, ("images is a folder",)),
    (("path", "run", "--out", "images"), 2, ("images is a folder",)),
    (("report", "run", "--out", "run/interpretation.json", *RUN_OF), 2, ("run/interpretation.json", ".html")),
    (("path", "run", "--out", "run/run.json"), 2, ("run/run.json", ".svg")),
    (("path", "run", "--out", "images/red/00.png"), 2, ("images/red/00.png", ".svg")),
    (("path", "run", "--out", "notes.txt/path.svg"), 3, ("notes.txt", "folder", "a file is in its way")),
    (("path", "run", "--class", "pink", "--out", "new/path.svg"), 2, ("class 'pink'", "blue, green, red")),
    (("path", "images", "--out", "new/path.svg"), 3, ("images is no run folder",)),
    (("path", "cut-result", "--out", "new/path.svg"), 3, ("cut-result/interpretation.json is damaged",)),
    (("report", "run", "--out", "notes.txt/new.html", *RUN_OF), 3, ("notes.txt", "folder", "a file is in its way")),
]

FILES_OF_OPTIONS = [
    ((*LAYERS, "--config", "missing.toml"), 3, ("missing.toml", "No such file or directory")),
    ((*LAYERS, "--config", "images"), 3, ("images", "Is a directory", "TOML file")),
    ((*LAYERS, "--config", "pipe.toml"), 3, ("pipe.toml", "a pipe, a device", "TOML file")),
    ((*LAYERS, "--config", "huge.toml"), 3, ("huge.toml", "8,192 MiB", "TOML file")),
    ((*LAYERS, "--config", "words.toml"), 3, ("words.toml", "TOML file", "line 1")),
    ((*LAYERS, "--config", "latin.toml"), 3, ("latin.toml", "TOML file", "utf-8")),
    ((*LAYERS, "--config", "w.safetensors"), 3, ("w.safetensors", "TOML file")),
    ((*LAYERS, "--config", "loose.toml"), 2, ("loose.toml", "'mu' outside of any table", "[fit]")),
    ((*LAYERS, "--config", "stranger.toml"), 2, ("stranger.toml", "'fitt' at its top", "[fit]")),
    ((*LAYERS, "--config", "key.toml"), 2, ("key.toml", "'mu' in [layers]", "`vebi layers`")),
    ((*LAYERS, "--config", "flag.toml"), 2, ("json in [layers] of flag.toml is 1", "true or false")),
    ((*LAYERS, "--config", "date.toml"), 2, ("size in [layers] of date.toml is", "1979")),
    ((*LAYERS, "--config", "table.toml"), 2, ("mean in [layers] of table.toml is", "'red': 0.5")),
    ((*LAYERS, "--config", "text.toml"), 2, ("'--size'", "big (in the file of --config)")),
    ((*LAYERS, "--config", "half.toml"), 2, ("'--size'", "32.5 (in the file of --config)")),
    ((*LAYERS, "--config", "comma.toml"), 2, ("classes in [layers] of comma.toml", "comma")),
    ((*LAYERS, "--config", "nothing.toml"), 2, ("layers in [layers] of nothing.toml is []",)),
    ((*LAYERS, "--config", "itself.toml"), 2, ("itself.toml", "'config' in [layers]")),
]


CASES = LINES + OPTIONS + MODELS + DATA + RUNS + FILES_OF_OPTIONS


@pytest.mark.parametrize(("arguments", "code", "facts"), CASES, ids=[" ".join(map(str, c[0])) for c in CASES])
def test_a_sentence_and_a_code(arguments, code, facts):
    sentence = fails(code, *arguments)
    assert [fact for fact in facts if fact not in sentence] == [], sentence
