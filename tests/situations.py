"""Generated situations: what a user's machine can hold, and what a right end of a command is then.

A situation is made from its number alone. It changes a folder with images, a network and a finished run of it, and
names a command line. The command must end within a minute in a right answer or in one sentence with the right code.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import typer
from PIL import Image

from vebi.cli.main import app

MODEL = ("--model", "network.py:Net", "--weights", "w.safetensors")
SPEC = ("network.py:Net", "--weights", "w.safetensors")
EXPLAIN = ("explain", "run", "images/red/00.png", *MODEL, "--out", "new", "--json")
FIT = ("fit", *SPEC, "images", "--mu", "1", "--no-stability", "--out", "new", "--json")

#: Parts of a network that users write: code that is put before, between and after the two layers of activations.
BEFORE = {
    "nothing": "",
    "an input changed in place": "x *= 1",
    "half precision inside": "x = x.half().float()",
    "a print": "print('loud')",
    "a warning": "import warnings; warnings.warn('loud')",
    "NumPy": "x = torch.from_numpy(x.detach().numpy())",
    "a view": "x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)",
    "a fixed batch": "x = x.view(2, 3, 32, 32)",
    "a size check": "assert x.shape[-1] == 48, 'only 48'",
}
BETWEEN = {
    "nothing": "",
    "dropout": "x = F.dropout(x, .5)",
    "dropout that is off": "x = F.dropout(x, .5, self.training)",
    "its own training mode": "self.train()",
    "noise": "x = x + .3 * torch.randn_like(x)",
    "a mean over the batch": "x = x - x.mean(0)",
    "detached": "x = x.detach()",
    "no gradients": "torch.set_grad_enabled(False)",
    "a reentrant checkpoint": "x = checkpoint(torch.clone, x, use_reentrant=True)",
    "a list": "x = [x][0]",
    "scaling": "x = 2 * x / 2",
    "NaN": "x = x * float('nan')",
    "memory": "torch.zeros(10**15)",
}
AFTER = {
    "scores": "return y",
    "scores that are shifted": "return y + 3",
    "softmax": "return y.softmax(1)",
    "logarithm of a softmax": "return F.log_softmax(y, dim=1)",
    "softmax by hand": "e = (y - y.amax(1, keepdim=True)).exp(); return e / e.sum(1, keepdim=True)",
    "sigmoid": "return torch.sigmoid(y)",
    "a tuple": "return y, y",
    "a dictionary": "return {'logits': y}",
    "integers": "return y.argmax(1)",
    "whole scores": "return y.long()",
    "complex": "return torch.complex(y, y)",
    "sparse": "return y.to_sparse()",
    "detached": "return y.detach()",
    "an exit": "raise SystemExit(0)",
    "recursion": "return self.forward(x)",
    "a key": "return {}['nothing']",
    "one class": "return y[:, :1]",
    "too many classes": "return torch.cat([y, y], 1)",
    "half precision": "return y.half()",
    "nothing": "return None",
}
#: Lists of classes, of which some are those of the folders.
LISTS = (
    ["blue", "green", "red"],
    ["red", "green", "blue"],
    ["1\tblue", "2\tgreen", "3\tred"],
    ["blue", "green"],
    ["blue", "blue", "red"],
    ["a\tblue", "a\tgreen", "b\tred"],
    ["blue\tb", "green\tb", "red\tb"],
    ["blue\tx", "green", "red"],
    ["b", "g", "r", "x"],
    ["n00000001 blue", "n00000002 green", "n00000003 red"],
    ["\ufeffblue", "green", "red"],
    [],
)
#: Those that change no prediction of the network, and no feature.
HARMLESS = (
    {"nothing", "an input changed in place", "a print", "a warning", "a view"},
    {"nothing", "dropout that is off", "a list", "scaling"},
    {"scores", "scores that are shifted", "softmax", "logarithm of a softmax", "sigmoid"},
)
NETWORK = """
import torch, torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    mean, std, size, class_names = (.5,) * 3, (.25,) * 3, 32, ("blue", "green", "red")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.linear = nn.Linear(12, 3)

    def forward(self, x):
        {before}
        x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        {between}
        y = self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))
        {after}
"""

NAMES = (
    "a b",
    "é",
    "e\u0301",
    "名",
    "-x",
    "'",
    '"',
    "<b>",
    "{{x}}",
    "%s",
    "$HOME",
    "\n",
    "x" * 200,
    "\udcff",
    "\u202e",
    "&",
)
VALUES = (
    "",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "1e-400",
    "x" * 300,
    "é",
    "\udcff",
    "1,2",
    "True",
    "../..",
    "/dev/null",
    "-0",
)
NUMBERS = (
    0,
    -1,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    10**400,
    True,
    None,
    "",
    "x",
    [],
    {},
    [[[]]],
    2**63,
    0.5,
    "\udcff",
)


@dataclass
class Situation:
    """What is tried.

    Attributes:
        name: In words.
        words: The command line.
        codes: The exit codes that are right.
        same: Whether what `vebi explain` says on success must be what the run said before.
        predicted: The class that `vebi explain` must predict on success, if any.
    """

    name: str
    words: tuple[str, ...]
    codes: tuple[int, ...] = (0, 1, 2, 3)
    same: bool = False
    predicted: str | None = None
    streams: str = "utf-8"
    notes: list[str] = field(default_factory=list)


def situation(number: int) -> Situation:
    """Situation ``number``, made in the current folder."""
    rng = random.Random(number)
    kinds: tuple[Callable[[random.Random], Situation], ...] = (
        image, network, damaged_run, damaged_json, folder, names, argument, pair_of_images, labels, options_file,
    )  # fmt: skip
    made = kinds[number % len(kinds)](rng)
    made.streams = rng.choice(("utf-8", "utf-8", "ascii", "cp1252"))
    return made


def image(rng: random.Random) -> Situation:
    """One image is another file; the others are as they were."""
    path = Path("images/red/01.png")
    content = bytearray(path.read_bytes())
    kind = rng.choice(
        ("bytes", "cut", "empty", "text", "folder", "pipe", "loop", "format", "mode", "size", "tail", "gone")
    )
    if kind == "bytes":
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    elif kind == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no image " * rng.randint(1, 2000))
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "loop":
        path.unlink()
        path.symlink_to(path.name)
    elif kind == "tail":
        path.write_bytes(bytes(content) + rng.randbytes(rng.randint(1, 10_000)))
    elif kind == "gone":
        path.unlink()
    else:
        _redraw(rng, path, kind)
    words = rng.choice(
        (
            FIT,
            (*EXPLAIN[:2], "images/red", *EXPLAIN[3:]),
            ("report", "run", *MODEL, "--images", "images", "--out", "new.html"),
        )
    )
    return Situation(f"image: {kind}", words, codes=(0,))


def _redraw(rng: random.Random, path: Path, kind: str) -> None:
    """The same image in another format, mode or size."""
    drawn = Image.open(path).convert("RGB")
    mode = rng.choice(("L", "LA", "P", "RGBA", "CMYK", "1", "I", "F", "YCbCr", "HSV", "LAB", "I;16"))
    form = rng.choice(("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "AVIF", "JPEG2000", "ICO"))
    if kind == "size":
        drawn = drawn.resize((rng.choice((1, 2, 31, 500)), rng.choice((1, 3, 33, 400))))
    try:
        if kind == "mode":
            drawn = Image.new("I;16", drawn.size, 900) if mode == "I;16" else drawn.convert(mode)
        drawn.save(path, form if kind == "format" else ("TIFF" if mode in ("F", "LAB", "I;16", "CMYK") else "PNG"))
    except (OSError, ValueError, KeyError):  # not every mode can be stored in every format
        drawn.convert("RGB").save(path, "PNG")


def pair_of_images(rng: random.Random) -> Situation:
    """Folders of images that are linked, empty, nested, or called alike."""
    kind = rng.choice(("link", "nested", "empty", "alike", "flat", "hidden", "one", "cycle"))
    if kind == "link":
        Path("images/also").symlink_to(Path("images/red").resolve())
    elif kind == "nested":
        shutil.copytree("images/red", "images/red/again/and/again")
    elif kind == "empty":
        Path("images/none").mkdir()
    elif kind == "alike":
        shutil.copy("images/red/00.png", "images/red/00.jpg")
    elif kind == "flat":
        shutil.copy("images/red/00.png", "images/00.png")
    elif kind == "hidden":
        shutil.copytree("images/red", "images/.red")
    elif kind == "one":
        shutil.rmtree("images/red")
        shutil.rmtree("images/blue")
    else:
        Path("images/red/up").symlink_to(Path("images").resolve())
    words = rng.choice((FIT, ("explain", "run", "images", *MODEL, "--out", "new", "--json")))
    return Situation(f"folders: {kind}", words, codes=(0, 3))


def network(rng: random.Random) -> Situation:
    """The network does something else, with the same weights."""
    parts = [rng.choice(list(table)) for table in (BEFORE, BETWEEN, AFTER)]
    if rng.random() < 0.6:  # most of a combination is plain, else every one would be refused
        kept = rng.randrange(3)
        parts = [part if k == kept else rng.choice(sorted(HARMLESS[k])) for k, part in enumerate(parts)]
    before, between, after = (table[part] for table, part in zip((BEFORE, BETWEEN, AFTER), parts, strict=True))
    Path("network.py").write_text(NETWORK.format(before=before or "pass", between=between or "pass", after=after))
    harmless = all(part in table for part, table in zip(parts, HARMLESS, strict=True))
    same_scores = harmless and parts[2] in ("scores", "softmax", "logarithm of a softmax", "sigmoid")
    words = rng.choice((EXPLAIN, FIT, ("layers", *SPEC, "--json"), ("audit", *SPEC, "--json")))
    if words is EXPLAIN:  # a sigmoid takes single scores as they are; what only shifts them are other scores
        codes = (0,) if same_scores else (0, 1, 3) if "memory" in parts else (0, 3)
        return Situation(f"network: {parts}", words, codes, same=same_scores)
    return Situation(f"network: {parts}", words, codes=(0,) if harmless else (0, 1, 3))


def damaged_run(rng: random.Random) -> Situation:
    """A byte of a finished run is another one, or a file is missing, cut, or of another run."""
    files = sorted(path for path in Path("run").rglob("*") if path.is_file() and path.parent.name != "features")
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    kind = rng.choice(("bit", "bit", "bytes", "cut", "gone", "longer", "folder"))
    if kind == "bit":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        start = rng.randrange(len(content))
        content[start : start + 40] = rng.randbytes(min(40, len(content) - start))
    elif kind == "cut":
        del content[rng.randrange(len(content)) :]
    elif kind == "longer":
        content += rng.randbytes(rng.randint(1, 99))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.write_bytes(content)
    again = ("fit", *SPEC, "images", "--mu", "1", "--no-stability", "--out", "run", "--json")
    words = rng.choice((EXPLAIN, EXPLAIN, ("path", "run", "--json"), again))
    return Situation(f"run: {kind} of {path.name}", words, codes=(0, 3), same=words is EXPLAIN)


def damaged_json(rng: random.Random) -> Situation:
    """A value in a file of vebi's is another one, and its checksum is gone, as in a file that somebody edited."""
    path = Path("run") / rng.choice(("run.json", "interpretation.json"))
    content = json.loads(path.read_text())
    content.pop("sha256", None)
    place = content
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = rng.choice(list(keys))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.1:
            place[key] = rng.choice(NUMBERS)
            break
        place = place[key]
    path.write_text(json.dumps(content))
    words = rng.choice((EXPLAIN, ("path", "run", "--json"), ("report", "run", *MODEL, "--out", "new.html"), FIT[:-2]))
    if words == FIT[:-2]:
        words = (*FIT[:-2], "run")
    return Situation(f"value in {path.name}", words, codes=(0, 1, 2, 3))


def folder(rng: random.Random) -> Situation:
    """What the command is to write lies in the way of something."""
    kind = rng.choice(
        ("file", "folder", "others", "device", "pipe", "link", "loop", "input", "deep", "long", "partial")
    )
    target = {"device": "/dev/null", "input": "images", "deep": "a/b/c/d/e", "long": "x" * 300}.get(kind, "target")
    if kind == "file":
        Path(target).write_text("mine")
    elif kind in ("folder", "others"):
        Path(target).mkdir()
        if kind == "others":
            Path(target, "mine.txt").write_text("mine")
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind == "link":
        Path(target).symlink_to("nowhere/at/all")
    elif kind == "loop":
        Path(target).symlink_to(target)
    elif kind == "partial":
        Path(target).mkdir()
        Path(target, "run.json.partial").write_text("{")
        Path(target, "explanations.json.partial").write_text("{")
    words = rng.choice(
        (
            (*FIT[:-2], target),
            (*EXPLAIN[:-2], target),
            ("report", "run", *MODEL, "--out", target),
            ("path", "run", "--out", target),
            ("train", "images", "--epochs", "1", "--out", f"{target}/n.safetensors"),
            ("flowers", target, "--images-per-class", "1"),
        )
    )
    return Situation(f"output: {kind}", words)


def names(rng: random.Random) -> Situation:
    """Classes, folders and files have names that are hard to print."""
    name, other = rng.sample(NAMES, 2)
    if "\n" in (name, other) and rng.random() < 0.5:
        name, other = "a", "b"
    Path("images/red").rename(f"images/{name}")
    Path(f"images/{name}/00.png").rename(f"images/{name}/{other}.png")
    classes = Path("classes.txt")
    classes.write_text(f"blue\ngreen\n{name}\n", encoding="utf-8", errors="surrogateescape")
    fit = ("fit", *SPEC, "images", "--classes", "classes.txt", "--mu", "1", "--no-stability", "--out", other)
    explain = ("explain", "run", f"images/{name}", *MODEL, "--out", other, "--json")
    return Situation(f"names: {name!r}, {other!r}", rng.choice((fit, explain, (*explain[:-1],))), codes=(0, 2, 3))


def labels(rng: random.Random) -> Situation:
    """A list of classes that may not fit the folders."""
    lines = rng.choice(LISTS)
    Path("classes.txt").write_text(rng.choice(("\n", "\r\n")).join(lines), encoding="utf-8")
    return Situation(f"classes: {lines}", (*FIT, "--classes", "classes.txt"), codes=(0, 2, 3))


def argument(rng: random.Random) -> Situation:
    """An option has a value that it may not have."""
    base = rng.choice((FIT, EXPLAIN, ("layers", *SPEC), ("audit", *SPEC), ("path", "run"), ("report", "run", *MODEL)))
    command = typer.main.get_command(app).commands[base[0]]
    options = [p for p in command.params if p.opts[0].startswith("--") and not p.is_flag and p.opts[0] != "--config"]
    option, value = rng.choice(options), rng.choice((*VALUES, *NAMES))
    return Situation(f"argument: {option.opts[0]} {value!r}", (*base, option.opts[0], value))


def options_file(rng: random.Random) -> Situation:
    """A file of options with a value that it may not have."""
    key = rng.choice(("mu", "features", "layers", "size", "mean", "out", "signed", "nothing", "batch-size", "classes"))
    value = rng.choice(
        ("1", '""', "[]", "nan", "-1", "inf", "true", '"x"', "{}", "2024-01-01", "[1, 'x']", "1e400", "'é'", "0")
    )
    Path("vebi.toml").write_text(rng.choice((f"[fit]\n{key} = {value}\n", f"{key} = {value}\n", f"[fit\n{key}")))
    return Situation(
        f"file of options: {key} = {value}",
        (*FIT[:4], "images", "--no-stability", "--out", "new", "--json", "--config", "vebi.toml"),
    )
