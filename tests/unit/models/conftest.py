from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess
from vebi.models.weights import save_checkpoint

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    mean, std, size, class_names = (0.5,) * 3, (0.25,) * 3, 8, ("a", "b")

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return torch.relu(self.conv(x)).sum(dim=(2, 3))
"""


@pytest.fixture
def spec(tmp_path):
    """Writes a network file with a function ``build`` of the body given; returns its spec."""

    def write(body: str = "return Net()", name: str = "network.py") -> str:
        (tmp_path / name).write_text(f"{NETWORK}\n\ndef build():\n    {body}\n")
        return f"{tmp_path / name}:build"

    return write


@pytest.fixture
def checkpoint():
    """Writes a checkpoint of a FlowerNet of three classes, with changed metadata where some are given."""

    def write(path: Path, **changes: str) -> Path:
        torch.manual_seed(0)
        net = FlowerNet(3)
        if not changes:
            preprocess = Preprocess(64, (0.5,) * 3, (0.2,) * 3)
            save_checkpoint(path, net, "vebi:flowernet", preprocess, "xyz", {"seed": 1})
        else:
            metadata = {"format": "vebi-checkpoint", "model": "vebi:flowernet", "class_names": '["x", "y", "z"]'}
            save_file(net.state_dict(), path, metadata | changes)
        return path

    return write
