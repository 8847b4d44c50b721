"""The examples run from beginning to end, on made-up images in the shape of the real ones."""

import importlib.util
import io
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from vebi.errors import VebiWarning

EXAMPLES = Path(__file__).parents[2] / "examples"


def module(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def zipped(path, names, size, kind, grey, count=6):
    """A zip with train/<class>/ and test/<class>/, each class of a brightness and a stripe of its own."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for part in ("train", "test"):
            for k, name in enumerate(names):
                for i in range(count):
                    pixels = rng.integers(0, 60, (size, size, 1 if grey else 3)).repeat(1, 0)
                    pixels[2 * k : 2 * k + 4, :, k % pixels.shape[2]] += 180
                    buffer = io.BytesIO()
                    Image.fromarray(pixels.squeeze().astype(np.uint8)).save(buffer, kind)
                    file.writestr(f"{part}/{name}/{i:04d}.{'jpg' if kind == 'JPEG' else 'png'}", buffer.getvalue())


@pytest.fixture(autouse=True)
def notes_are_no_errors():
    """vebi warns that a network fitted on sixty images is near chance; that is not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)  # see above
        yield


def check(out, images, class_names, capsys):
    printed = capsys.readouterr().out
    assert re.search(rf"\b{images} test images\b", printed)
    assert str(out / "report.html") in printed
    page = (out / "report.html").read_text()
    assert 'id="examples"' in page
    assert all(f">{name}<" in page for name in class_names)
    assert (out / "run" / "interpretation.json").exists()
    assert list((out / "explained").glob("*.npz"))


def test_cifar10(tmp_path, capsys):
    example = module("cifar10")
    torch.manual_seed(0)
    zipped(tmp_path / "c.zip", example.ResNet20.class_names, 32, "JPEG", grey=False)
    save_file(example.resnet20().state_dict(), tmp_path / "w.safetensors")
    for _ in range(2):  # the second time resumes with what is there
        example.main(tmp_path / "c.zip", tmp_path / "w.safetensors", tmp_path / "out")
        check(tmp_path / "out", 60, example.ResNet20.class_names, capsys)


def test_mnist(tmp_path, capsys):
    example = module("mnist")
    zipped(tmp_path / "m.zip", example.LeNet.class_names, 28, "PNG", grey=True)
    example.main(tmp_path / "m.zip", tmp_path / "out")
    check(tmp_path / "out", 60, example.LeNet.class_names, capsys)
