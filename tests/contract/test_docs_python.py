"""Every Python block of the README and of the docs runs, one after the other, in a folder as a reader would have it."""

import importlib.util
import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from cli_support import NETWORK
from PIL import Image
from safetensors.torch import save_file
from support import import_torchvision

from vebi.errors import VebiWarning

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
BLOCKS = {page: re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S) for page in PAGES}
#: Packages that a block may import, beside those that vebi needs.
OPTIONAL = ("captum", "pytorch_grad_cam")


@pytest.fixture
def folder(tmp_path, squares, toy_module, monkeypatch):
    """network.py with a function ``build``, its weights, images to train and to test, and a single image."""
    (tmp_path / "network.py").write_text(NETWORK + "\nbuild = Net\n")
    save_file(toy_module.state_dict(), tmp_path / "network.safetensors")
    for part in ("train", "test"):
        shutil.copytree(squares, tmp_path / "images" / part)
    Image.open(squares / "red" / "00.png").save(tmp_path / "some.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if blocks], ids=lambda page: page.name)
def test_every_block_runs(page, folder):
    if importlib.util.find_spec("torchvision") is not None:  # pytorch-grad-cam imports it
        import_torchvision()
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    namespace = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)  # the network of the pages is not trained
        for k, block in enumerate(BLOCKS[page]):
            if not any(f"import {name}" in block or f"from {name}" in block for name in missing):
                exec(compile(block, f"{page.name}, block {k + 1}", "exec"), namespace)
    sys.modules.pop("network", None)


def test_there_are_blocks():
    assert sum(map(len, BLOCKS.values())) >= 4
