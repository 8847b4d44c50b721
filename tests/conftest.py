"""Shared by all tests: shapes and types are checked at run time, and a toy problem that trains in a second."""

import importlib.util
import os
from pathlib import Path

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import install_import_hook
from PIL import Image
from support import COLOURS, SIZE, ToyNet, draw_square

pytest_plugins = ["cli_fixtures"]

#: Shapes and types are checked at run time in all of vebi, but for these.
UNCHECKED = (
    # called thousands of times in a fit, by functions that are checked: a third of the time of all tests otherwise
    "vebi.activations.recorder",
    "vebi.backprop.dispatch",
    "vebi.backprop.rules",
    "vebi.interpretation.firing",
    "vebi.lasso.active_set",
    "vebi.lasso.path",
    "vebi.cli",  # typer reads the annotations and converts what is given
    "vebi.datasets.flowers.dataset",  # refuses other types with sentences of its own, which are tested
)


def modules_of_vebi() -> list[str]:
    """The dotted names of all modules, without importing one: the checks are built in when they are imported."""
    (root,) = importlib.util.find_spec("vebi").submodule_search_locations
    paths = sorted(path.relative_to(root).with_suffix("") for path in Path(root).rglob("*.py"))
    names = [".".join(["vebi", *path.parts]) for path in paths if path.name not in ("__init__", "__main__")]
    return [name for name in names if not name.startswith(UNCHECKED)]


install_import_hook(modules_of_vebi(), "support.typecheck")

# new examples at a desk, the same ones in every automatic run
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

torch.set_num_threads(1)  # the networks here are tiny: more threads only wait for each other


@pytest.fixture(scope="session", autouse=True)
def training_on_one_thread():
    """As all tests: several of them run at a time."""
    from vebi.datasets.flowers import optimization

    optimization.THREADS = 1


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    """A class-per-folder tree: 24 images of each of three classes, 32 x 32."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for i in range(24):
            draw_square(rng, colour).save(root / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="session")
def masks(squares, tmp_path_factory):
    """Where the squares are, by the names of the images."""
    folder = tmp_path_factory.mktemp("masks")
    for path in sorted(squares.rglob("*.png")):
        far = np.abs(np.asarray(Image.open(path), float) - 225).max(axis=2) > 60
        (folder / path.parent.name).mkdir(exist_ok=True)
        Image.fromarray((255 * far).astype(np.uint8)).save(folder / path.parent.name / path.name)
    return folder


@pytest.fixture(scope="session")
def toy_module(squares) -> ToyNet:
    """A ToyNet that tells the squares apart."""
    from vebi.data.loader import batches
    from vebi.data.sources import open_images
    from vebi.models.preprocess import Preprocess

    torch.manual_seed(0)
    net = ToyNet()
    images = open_images(squares)
    (batch,) = batches(images, range(len(images)), Preprocess(SIZE, net.mean, net.std).prepare, len(images))
    labels = torch.tensor(batch.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(batch.inputs), labels).backward()
        optimizer.step()
    net.eval()
    assert (net(batch.inputs).argmax(1) == labels).all()
    return net


@pytest.fixture
def toy(toy_module):
    """The toy network as a Classifier."""
    from vebi.models.classifier import Classifier
    from vebi.models.preprocess import Preprocess

    return Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)


@pytest.fixture(scope="session")
def interpreted_once(toy_module, squares):
    """An interpretation of the toy network, made once: for tests that only read it."""
    from vebi.interpretation.fit import interpret
    from vebi.models.classifier import Classifier
    from vebi.models.preprocess import Preprocess

    toy = Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)
    return interpret(toy, squares, mu=1.5)


@pytest.fixture
def without_checks_of_types():
    """As a user runs it: the checks that tests run under would find what the program has to find itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
