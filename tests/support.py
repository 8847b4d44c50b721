"""Helpers that tests import by name."""

import importlib.util
import json
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from beartype import BeartypeConf, beartype
from PIL import Image
from torch import nn

#: Shapes and types are checked at run time; an int is welcome where a float is expected.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))

DECLARED = torch.library.Library("torchvision", "FRAGMENT")  # what is declared lives as long as this

SIZE = 32
COLOURS = {"blue": (40, 60, 220), "green": (40, 180, 60), "red": (220, 40, 40)}


def write_unsigned(path: Path, content: dict[str, object]) -> None:
    """Content of a run without its checksums, as earlier versions wrote it, so that what it says is all that counts."""
    path.write_text(json.dumps({name: value for name, value in content.items() if name not in ("sha256", "arrays")}))


@contextmanager
def locked_elsewhere(path: Path):
    """While the block runs, another thread writes into a folder or a file."""
    from vebi.outputs import output_file, output_folder

    entered, done = threading.Event(), threading.Event()

    def hold():
        with output_folder(path) if path.is_dir() else output_file(path, path.suffix):
            entered.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert entered.wait(10)
        yield
    finally:
        done.set()
        thread.join()


def draw_square(rng: np.random.Generator, colour: tuple[int, int, int]) -> Image.Image:
    """A coloured square somewhere on a light, slightly noisy ground."""
    pixels = rng.normal(225, 6, (SIZE, SIZE, 3))
    y, x = rng.integers(2, SIZE - 12, 2)
    pixels[y : y + 10, x : x + 10] = rng.normal(colour, 8, (10, 10, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


class ToyNet(nn.Module):
    """Strided, with one ReLU as a module and one as a function."""

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    size = SIZE
    class_names = tuple(COLOURS)

    def __init__(self, classes: int = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.linear = nn.Linear(12, classes)

    def forward(self, x):
        x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


def same_shards(one: Path, other: Path) -> None:
    """Fails unless two folders hold the same shards, bit by bit."""
    names = sorted(p.name for p in one.glob("*.safetensors"))
    assert names
    assert names == sorted(p.name for p in other.glob("*.safetensors"))
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def scale_of(x):
    """Standard deviations, and half of their median under the root; infinity for what does not vary."""
    std = x.std(axis=0)
    return np.where(std > 0, np.hypot(std, 0.5 * np.median(std[std > 0])), np.inf)


def no_path(classes: int):
    """Of an interpretation that was made by hand: nothing is known along mu."""
    from vebi.interpretation.mu_path import MuPath

    nothing = np.full((5, 1), np.nan)
    return MuPath(
        mus=np.ones(1),
        candidates=np.ones(1, bool),
        r2=np.full((5, 1, classes), np.nan),
        fidelity=nothing,
        class_index=np.zeros(0, np.int64),
        columns=np.zeros(0, np.int64),
        entry_mu=np.zeros(0),
        weights=np.zeros((0, 1)),
        fit_r2=np.full((5, classes), np.nan),
        fit_fidelity=np.full(5, np.nan),
        end_mu=np.zeros(classes),
    )


def settings_of(classifier, layers=(), **changed):
    """The settings of a fit that nobody made."""
    from vebi.activations.descriptors import Descriptor
    from vebi.interpretation.settings import DataSource, FitSettings, ModelSource

    settings = FitSettings(
        model=ModelSource(classifier.spec, classifier.weights, classifier.sha256()),
        class_names=classifier.class_names,
        preprocess=classifier.preprocess,
        data=DataSource(0, "", None),
        layers=tuple(layers),
        mu=1.0,
        features_per_class=None,
        signed=False,
        labels="predicted",
        descriptor=Descriptor.paper(),
        stability=False,
        batch_size=32,
        shard_size=512,
        strict=False,
    )
    return replace(settings, **changed)


def interpretation_of(classifier, layers, features, columns, weights):
    """An interpretation made by hand, of the descriptor of the paper and without exemplars."""
    from vebi.interpretation.diagnostics import Diagnostics
    from vebi.interpretation.result import Interpretation
    from vebi.lasso import Scaling

    names = classifier.class_names
    zeros = (0.0,) * len(names)
    return Interpretation(
        class_names=names,
        features=tuple(features),
        columns=tuple(columns),
        weights=weights,
        scaling=Scaling(np.zeros(len(columns)), np.ones(len(columns)), np.zeros(len(names))),
        mus=(1.0,) * len(names),
        layer_shares=np.zeros((len(names), len(layers))),
        settings=settings_of(classifier, layers),
        diagnostics=Diagnostics(
            accuracy=None,
            fidelity=1.0,
            gaps=zeros,
            violations=zeros,
            complete=(True,) * len(names),
            images_per_class=dict.fromkeys(names, 0),
            skipped={},
            notes=(),
            created="",
            versions={},
        ),
        exemplars=(),
        mu_path=no_path(len(names)),
        stability=None,
        classifier=classifier,
    )


def import_torchvision():
    """torchvision, for its models. A wheel that was built for another torch lacks its C++ operators and does not even
    import; the models use none of them, so to declare two is enough."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that it misses
        try:
            return importlib.import_module("torchvision")
        except RuntimeError:
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            for operator in ("nms", "qnms"):
                DECLARED.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            return importlib.import_module("torchvision")


def load_script(path, name, monkeypatch):
    """A file of Python as the module ``name``, which is forgotten after the test."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module
