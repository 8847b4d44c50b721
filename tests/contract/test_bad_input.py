"""Everything that a user can get wrong, option by option and file by file: one sentence that says what to do."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from cli_support import MODEL, fails, truncate
from PIL import Image
from safetensors.torch import save_file

from vebi.models.flowernet import FlowerNet


class Trap:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return open, ("trapped", "w")


def write_masks(folder: str, size: int = 32, value: int = 255) -> None:
    """A mask for every picture."""
    for path in Path("pictures").rglob("*.png"):
        mask = Path(folder, *path.parts[1:])
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (size, size), value).save(mask)


def write_data() -> None:
    Path("empty").mkdir()
    Path("empty.png").touch()
    Path("notes.txt").write_text("no picture")
    Path("notes.png").write_text("no picture")
    shutil.copytree("pictures/red", "one/red")
    shutil.copytree("pictures", "other")
    Path("other/red").rename("other/rot")
    for name in ("blue", "green", "red"):
        Path("broken", name).mkdir(parents=True)
        Path("broken", name, "00.png").write_text("no picture")
        Path("hollow", name).mkdir(parents=True)
    shutil.copytree("pictures", "cut")
    truncate("cut/red/03.png", 200)
    write_masks("masks")
    write_masks("small-masks", size=16)
    write_masks("black-masks", value=0)
    write_masks("broken-masks")
    for path in Path("broken-masks").rglob("*.png"):
        path.write_text("no picture")


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
        held = json.loads(path.read_text())
        change(held)
        path.write_text(json.dumps(held))

    damaged("odd", "run.json", lambda held: held.pop("format"))
    damaged("formless", "run.json", lambda held: held["settings"].pop("preprocess"))
    damaged("made-in-python", "run.json", lambda held: held["settings"]["model"].update(spec=None))
    damaged("moved", "interpretation.json", lambda held: settings(held)["data"].update(place="gone"))
    damaged("placeless", "interpretation.json", lambda held: settings(held)["data"].update(place=None))
    damaged("wordy", "interpretation.json", lambda held: held.update(mu="much"))
    for name in ("cut-run", "cut-result", "cut-arrays", "unfinished", "cut-table"):
        shutil.copytree("run", name)
    truncate("cut-run/run.json", 200)
    truncate("cut-result/interpretation.json", 200)
    truncate("cut-arrays/interpretation.safetensors", 200)
    Path("unfinished/interpretation.json").unlink()
    Path("cut-table/interpretation.json").unlink()
    truncate("cut-table/table/shard-00000.safetensors", 500)


def settings(held: dict) -> dict:
    return held["provenance"]["settings"]


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
def here(zoo, monkeypatch) -> Path:
    """The zoo as the current folder, which no command that fails may change: what is new is in ``new``."""
    monkeypatch.chdir(zoo)
    for package in ("torchvision", "timm"):
        monkeypatch.setitem(sys.modules, package, None)
    before = contents()
    yield zoo
    shutil.rmtree("new", ignore_errors=True)
    assert contents() == before


LAYERS = ("layers", *MODEL)
FIT = ("fit", *MODEL, "pictures", "--out", "new")
RUN_OF = ("--model", "network.py:Net")
EXPLAIN = ("explain", "run", "pictures/red/00.png", "--out", "new", *RUN_OF)
REPORT = ("report", "run", "--out", "new/report.html", *RUN_OF)
FLOWERS = ("flowers", "new")
TRAIN = ("train", "pictures", "--out", "new/network.safetensors")

#: What is typed, the exit code, and what the sentence says among other things.
LINES = [
    (("fitt",), 2, "no such command 'fitt', did you mean 'fit'; see `vebi --help`"),
    (("--nu",), 2, "no such option: --nu"),
    (("layers",), 2, "missing argument"),
    (("fit", *MODEL), 2, "missing argument"),
    (("fit", *MODEL, "pictures"), 2, "missing option '--out'"),
    (("explain", "run", "--out", "new"), 2, "missing argument"),
    (("explain", "run", "pictures"), 2, "missing option '--out'"),
    (("report",), 2, "missing argument"),
    (("path",), 2, "missing argument"),
    (("train", "pictures"), 2, "missing option '--out'"),
    (("flowers",), 2, "missing argument"),
    ((*LAYERS, "extra"), 2, "unexpected extra argument"),
    ((*FIT, "--nu", 1), 2, "no such option: --nu"),
    ((*FIT, "--mu"), 2, "option '--mu' requires an argument; see `vebi fit --help`"),
    ((*FIT, "--strict=yes"), 2, "'--strict' does not take a value"),
    (("demo", "here"), 2, "unexpected extra argument"),
    (("doctor", "me"), 2, "unexpected extra argument"),
]

OPTIONS = [
    ((*FIT, "--mu", 0), 2, "mu is 0.0"),
    ((*FIT, "--mu", -1), 2, "mu is -1.0"),
    ((*FIT, "--mu", "nan"), 2, "mu is nan"),
    ((*FIT, "--mu", "inf"), 2, "mu is inf"),
    ((*FIT, "--mu", "five"), 2, "'--mu': it should be a number above 0, or auto, given: five; see `vebi fit --help`"),
    ((*FIT, "--batch-size", 0), 2, "batch_size is 0"),
    ((*FIT, "--batch-size", 1.5), 2, "it should be a valid integer, given: 1.5"),
    ((*FIT, "--labels", "both"), 2, "labels is 'both'"),
    ((*FIT, "--energy", "l1"), 2, "energy is 'l1'"),
    ((*FIT, "--layers", "zz*"), 2, "no layer is called 'zz*'"),
    ((*FIT, "--layers", "relu", "--layers", "relu9"), 2, "no layer is called 'relu9'"),
    ((*FIT, "--classes", "a,a,b"), 2, "two classes are called 'a'"),
    ((*FIT, "--classes", "red"), 3, "--classes is 'red', which is no file"),
    ((*FIT, "--classes", "a,b"), 3, "3 class scores, but 2 class names"),
    ((*FIT, "--classes", ","), 3, "--classes is ',', which holds no names"),
    ((*LAYERS, "--layers", "zz*"), 2, "no layer is called 'zz*'"),
    ((*LAYERS, "--mean", "0.5,x,1"), 2, "--mean is '0.5,x,1'"),
    ((*LAYERS, "--mean", ""), 2, "--mean is ''"),
    ((*LAYERS, "--mean", "nan,0,0"), 2, "mean is (nan, 0.0, 0.0)"),
    ((*LAYERS, "--mean", "0.5"), 2, "mean is (0.5,) and std (0.25, 0.25, 0.25)"),
    ((*LAYERS, "--mean", "0.5", "--std", "1"), 3, "fails on an input of shape (1, 1, 32, 32)"),
    ((*LAYERS, "--std", "1,1"), 2, "std (1.0, 1.0)"),
    ((*LAYERS, "--std", "1,1,0"), 2, "std above 0"),
    ((*LAYERS, "--size", 0), 2, "size is 0"),
    ((*LAYERS, "--size", "big"), 2, "it should be a valid integer, given: big"),
    ((*LAYERS, "--size", 10**9), 3, "the model fails on an input of shape (1, 3, 1000000000, 1000000000)"),
    ((*LAYERS, "--resize", 31), 2, "size is 32 and resize 31"),
    ((*LAYERS, "--resize", 0), 2, "resize 0"),
    ((*LAYERS, "--interpolation", "box"), 2, "interpolation is 'box'"),
    ((*LAYERS, "--device", "tpu"), 2, "the device is 'tpu', but here are cpu"),
    ((*LAYERS, "--device", "cuda:99"), 2, "the device is 'cuda:99'"),
    (("layers", "network.py:bare", "--size", 32), 2, "does not say its mean, std"),
    ((*EXPLAIN, "--features", 0), 2, "features is 0"),
    ((*EXPLAIN, "--features", "all"), 2, "it should be a valid integer, given: all"),
    ((*EXPLAIN, "--class", "rot"), 2, "there is no class 'rot'"),
    ((*EXPLAIN, "--rule", "lrp"), 2, "the backward rule is 'lrp'"),
    ((*EXPLAIN, "--stride-fix", "off"), 2, "--stride-fix is 'off': choose one of centred, nearest, none"),
    ((*EXPLAIN, "--batch-size", -3), 2, "batch_size is -3"),
    ((*EXPLAIN, "--device", "gpu"), 2, "the device is 'gpu'"),
    ((*REPORT, "--class", "rot"), 2, "there is no class 'rot'"),
    ((*REPORT, "--class", "red", "--class", "rot"), 2, "there is no class 'rot'"),
    ((*REPORT, "--batch-size", 0), 2, "batch_size is 0"),
    ((*REPORT, "--device", ""), 2, "the device is ''"),
    ((*FLOWERS, "--variant", "triple"), 2, "there is no variant 'triple'"),
    ((*FLOWERS, "--images-per-class", 0), 2, "images_per_class is 0"),
    ((*FLOWERS, "--images-per-class", 1001), 2, "images_per_class is 1001"),
    ((*FLOWERS, "--size", 8), 2, "size is 8"),
    ((*FLOWERS, "--seed", -1), 2, "--seed is -1: give a whole number from 0"),
    ((*FLOWERS, "--background", "sky"), 2, "there is no background 'sky'"),
    ((*TRAIN, "--epochs", 0), 2, "epochs is 0"),
    ((*TRAIN, "--fold", 5), 2, "fold 5"),
    ((*TRAIN, "--seed", "x"), 2, "it should be a valid integer, given: x"),
    ((*TRAIN, "--seed", -1), 2, "--seed is -1"),
    ((*TRAIN, "--seed", 2**70), 2, "--seed is 1180591620717411303424"),
]

MODELS = [
    (("layers", "network.py"), 2, "'network.py' names no model"),
    (("layers", ""), 2, "names no model"),
    (("layers", "keras:resnet"), 2, "names no model"),
    (("layers", "pictures:Net"), 2, "names no model"),
    (("layers", "missing.py:Net"), 3, "missing.py does not exist"),
    (("layers", "network.py:missing"), 3, "has no function 'missing'"),
    (("layers", "network.py:"), 3, "has no function ''"),
    (("layers", "network.py:nothing"), 3, "returned a NoneType, but a torch.nn.Module is needed"),
    (("layers", "network.py:raises"), 3, "stopped with RuntimeError: mine"),
    (("layers", "typo.py:Net"), 3, "stopped with SyntaxError"),
    (("layers", "lost.py:Net"), 3, "No module named 'nothing_of_this_name'"),
    (("layers", "quits.py:Net"), 3, "stopped with SystemExit"),
    (("layers", "network.py:Two"), 3, "the model gives tuple"),
    (("fit", "network.py:Plain", "pictures", "--out", "new"), 2, "name the layers to tap"),
    (("fit", "network.py:Boundless", "pictures", "--out", "new"), 3, "the activations of relu#2 hold NaN or infinity"),
    (("layers", "torchvision:resnet18"), 1, "needs the package torchvision, which is not installed: pip install"),
    (("layers", "timm:resnet18"), 1, "needs the package timm, which is not installed: pip install"),
    (("layers", "vebi:flowernet"), 3, "train it"),
    (("layers", "missing.safetensors"), 3, "missing.safetensors is no file"),
    (("layers", "w.safetensors"), 3, "holds weights alone"),
    (("layers", "text.safetensors"), 3, "text.safetensors is no intact safetensors file"),
    ((*LAYERS[:-1], "missing.pt"), 3, "missing.pt is no file"),
    ((*LAYERS[:-1], "pictures"), 3, "pictures is no file"),
    ((*LAYERS[:-1], "empty.pt"), 3, "empty.pt cannot be read without unpickling code or is damaged"),
    ((*LAYERS[:-1], "code.pt"), 3, "code.pt cannot be read without unpickling code"),
    ((*LAYERS[:-1], "list.pt"), 3, "list.pt holds no state_dict"),
    ((*LAYERS[:-1], "pictures/red/00.png"), 3, "cannot be read without unpickling code or is damaged"),
    ((*LAYERS[:-1], "cut.safetensors"), 3, "cut.safetensors is no intact safetensors file"),
    ((*LAYERS[:-1], "flower.safetensors"), 3, "flower.safetensors does not fit the network"),
    ((*LAYERS[:-1], "nan.safetensors"), 3, "NaN or infinity"),
    ((*LAYERS, "--classes", "latin.txt"), 3, "latin.txt is no text file"),
    ((*LAYERS, "--classes", "two.txt"), 3, "3 class scores, but 2 class names"),
    ((*LAYERS, "--classes", "blank.txt"), 3, "--classes is 'blank.txt', which holds no names"),
    ((*LAYERS, "--classes", "missing.txt"), 3, "--classes is 'missing.txt', which is no file"),
]

DATA = [
    (("fit", *MODEL, "missing", "--out", "new"), 3, "missing does not exist"),
    (("fit", *MODEL, "empty", "--out", "new"), 3, "empty holds no pictures"),
    (("fit", *MODEL, "hollow", "--out", "new"), 3, "the folders in hollow hold no pictures"),
    (("fit", *MODEL, "one", "--out", "new"), 3, "one holds pictures of one class only (red)"),
    (("fit", *MODEL, "other", "--out", "new"), 3, "of other are blue, green, rot, but the model's classes are"),
    (("fit", *MODEL, "broken", "--out", "new"), 3, "no picture could be decoded"),
    (("fit", *MODEL, "notes.txt", "--out", "new"), 3, "no picture could be decoded"),
    (("fit", *MODEL, "w.safetensors", "--out", "new"), 3, "no picture could be decoded"),
    (("fit", *MODEL, "cut", "--out", "new", "--strict"), 3, "cut/red/03.png is damaged or truncated"),
    ((*FIT[:-1], "pictures"), 3, "pictures holds other files and no run"),
    ((*FIT[:-1], "notes.txt"), 3, "notes.txt cannot be used as a folder to write into (it is a file)"),
    ((*FIT[:-1], "notes.txt/new"), 3, "notes.txt/new cannot be used as a folder to write into"),
    ((*FIT[:-1], "run"), 3, "run holds a run with"),
    ((*FIT[:-1], "cut-run"), 3, "run.json is damaged"),
    (("fit", *MODEL, "pictures", "--mu", 1, "--out", "cut-result"), 3, "interpretation.json is damaged"),
    (("fit", *MODEL, "pictures", "--mu", 1, "--out", "cut-table"), 3, "shard-00000.safetensors is damaged"),
    (("train", "missing", *TRAIN[2:]), 3, "missing does not exist"),
    (("train", "empty", *TRAIN[2:]), 3, "empty holds no pictures"),
    (("train", "one", *TRAIN[2:]), 3, "one holds pictures of one class only"),
    (("train", "pictures/red", *TRAIN[2:]), 3, "pictures/red has no class folders"),
    (("train", "broken", *TRAIN[2:]), 3, "no picture could be decoded: check the data"),
    (("train", "pictures", "--out", "new"), 2, "new: give a file name that ends in .safetensors"),
    (("train", "pictures", "--out", "w.safetensors"), 3, "w.safetensors holds a network of other data or settings"),
    (("train", "pictures", "--out", "text.safetensors"), 3, "text.safetensors is no intact safetensors file"),
    (("train", "pictures", "--out", "notes.txt/new.safetensors"), 3, "notes.txt cannot be used as a folder, a file is"),
    (("flowers", "notes.txt"), 3, "notes.txt is a file"),
    (("flowers", "notes.txt/new"), 3, "notes.txt/new cannot be used as a folder, a file is in its way"),
    (("flowers", "pictures"), 3, "pictures is not empty and holds no data set"),
    (("flowers", "flowers"), 3, "flowers holds a data set with variant double-12c, not single-6c"),
    (("flowers", "cut-flowers"), 3, "dataset.json cannot be read"),
    (("demo", "--out", "notes.txt"), 3, "notes.txt cannot be used as a folder"),
    (("demo", "--out", "notes.txt/new"), 3, "notes.txt/new cannot be used as a folder"),
]


def explain(run: str, *images: str, out: str = "new") -> tuple:
    return ("explain", run, *images, "--out", out, *RUN_OF)


def report(run: str, *options) -> tuple:
    return ("report", run, "--out", "new/report.html", *RUN_OF, *options)


RUNS = [
    (EXPLAIN[:-2], 3, "a run never names code to execute: give it with --model"),
    (("explain", "made-in-python", *EXPLAIN[2:-2]), 3, "the model of made-in-python is one made in Python"),
    ((*EXPLAIN, "--weights", "shifted.safetensors"), 3, "made with other weights"),
    ((*EXPLAIN, "--weights", "missing.pt"), 3, "missing.pt is no file"),
    ((*EXPLAIN[:-1], "network.py:missing"), 3, "has no function 'missing'"),
    ((*EXPLAIN[:-1], "flower.safetensors"), 3, "holds weights alone"),
    (explain("missing", "pictures"), 3, "missing is no run folder"),
    (explain("pictures", "pictures"), 3, "pictures is no run folder"),
    (explain("notes.txt", "pictures"), 3, "notes.txt is no run folder"),
    (explain("odd", "pictures"), 3, "is not of the format"),
    (explain("formless", "pictures"), 3, "the run in formless is damaged"),
    (explain("wordy", "pictures"), 3, "the run in wordy is damaged"),
    (explain("cut-run", "pictures"), 3, "run.json is damaged"),
    (explain("cut-result", "pictures"), 3, "interpretation.json is damaged"),
    (explain("cut-arrays", "pictures"), 3, "the run in cut-arrays is damaged"),
    (explain("unfinished", "pictures"), 3, "the run in unfinished is not finished"),
    (explain("run", "missing.png"), 3, "missing.png does not exist"),
    (explain("run", "pictures", "missing"), 3, "missing does not exist"),
    (explain("run", "empty"), 3, "empty holds no pictures"),
    (explain("run", "empty.png"), 3, "none of the 1 files could be decoded"),
    (explain("run", "notes.txt"), 3, "none of the 1 files could be decoded"),
    (explain("run", "broken"), 3, "none of the 3 files could be decoded"),
    ((*explain("run", "cut/red"), "--strict"), 3, "cut/red/03.png is damaged or truncated"),
    (explain("run", "pictures", out="pictures/blue"), 3, "choose another folder"),
    (explain("run", "pictures", out="masks"), 3, "masks holds other files and no explanations"),
    (explain("run", "pictures", out="notes.txt"), 3, "(it is a file)"),
    (explain("run", "pictures", out="notes.txt/new"), 3, "(Not a directory)"),
    (report("missing"), 3, "missing is no run folder"),
    (report("unfinished"), 3, "the run in unfinished is not finished"),
    (report("moved"), 3, "the pictures of the run are not in gone any more"),
    (report("placeless"), 2, "the run does not know where its pictures are"),
    ((*report("run")[:-2],), 3, "a run never names code to execute"),
    (report("run", "--weights", "shifted.safetensors"), 3, "made with other weights"),
    (report("run", "--images", "missing"), 3, "missing does not exist"),
    (report("run", "--images", "empty"), 3, "empty holds no pictures"),
    (report("run", "--images", "other"), 3, "without rot"),
    (report("run", "--images", "broken"), 3, "none of the 3 pictures could be decoded"),
    (report("run", "--images", "notes.txt"), 3, "none of the 1 pictures could be decoded"),
    (report("run", "--masks", "missing"), 3, "missing is no folder"),
    (report("run", "--masks", "notes.txt"), 3, "notes.txt is no folder"),
    (report("run", "--masks", "empty"), 3, "has no mask"),
    (report("run", "--masks", "small-masks"), 3, "give a mask of the same size"),
    (report("run", "--masks", "black-masks"), 3, "all 72 masks are empty"),
    (report("run", "--masks", "broken-masks"), 3, "broken-masks/blue/00.png is not a picture that can be decoded"),
    (("report", "run", "--out", "pictures", *RUN_OF), 2, "pictures is a folder"),
    (("path", "run", "--out", "pictures"), 2, "pictures is a folder"),
    (("path", "run", "--out", "notes.txt/path.svg"), 3, "notes.txt cannot be used as a folder"),
    (("path", "run", "--class", "pink", "--out", "new/path.svg"), 2, "there is no class 'pink'"),
    (("path", "pictures", "--out", "new/path.svg"), 3, "pictures is no run folder"),
    (("path", "cut-result", "--out", "new/path.svg"), 3, "interpretation.json is damaged"),
    (("report", "run", "--out", "notes.txt/new.html", *RUN_OF), 3, "notes.txt cannot be used as a folder"),
]

FILES_OF_OPTIONS = [
    ((*LAYERS, "--config", "missing.toml"), 3, "missing.toml cannot be read (No such file or directory): give a"),
    ((*LAYERS, "--config", "pictures"), 3, "pictures cannot be read (Is a directory): give a TOML file"),
    ((*LAYERS, "--config", "words.toml"), 3, "words.toml is no TOML file that can be read"),
    ((*LAYERS, "--config", "latin.toml"), 3, "latin.toml is no TOML file that can be read"),
    ((*LAYERS, "--config", "w.safetensors"), 3, "w.safetensors is no TOML file that can be read"),
    ((*LAYERS, "--config", "loose.toml"), 2, "loose.toml says 'mu' outside of any table"),
    ((*LAYERS, "--config", "stranger.toml"), 2, "stranger.toml says 'fitt' at its top"),
    ((*LAYERS, "--config", "key.toml"), 2, "key.toml says 'mu' in [layers]"),
    ((*LAYERS, "--config", "flag.toml"), 2, "json in [layers] of flag.toml is 1, but true or false is needed"),
    ((*LAYERS, "--config", "date.toml"), 2, "size in [layers] of date.toml is"),
    ((*LAYERS, "--config", "table.toml"), 2, "mean in [layers] of table.toml is"),
    ((*LAYERS, "--config", "text.toml"), 2, "given: big (in the file of --config)"),
    ((*LAYERS, "--config", "half.toml"), 2, "given: 32.5 (in the file of --config)"),
    ((*LAYERS, "--config", "comma.toml"), 2, "has a comma within a name"),
    ((*LAYERS, "--config", "nothing.toml"), 2, "layers in [layers] of nothing.toml is []"),
    ((*LAYERS, "--config", "itself.toml"), 2, "itself.toml says 'config' in [layers]"),
]


CASES = LINES + OPTIONS + MODELS + DATA + RUNS + FILES_OF_OPTIONS


@pytest.mark.parametrize(("arguments", "code", "fragment"), CASES, ids=[" ".join(map(str, c[0])) for c in CASES])
def test_a_sentence_and_a_code(arguments, code, fragment):
    assert fragment in fails(code, *arguments)
