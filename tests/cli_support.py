"""The command line as a user types it: ``main`` with a line of words, and all that it prints."""

import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from vebi.cli.main import main

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

class Plain(Net):
    def forward(self, x):
        return self.linear(self.conv2(self.conv1(x)).mean(dim=(2, 3)))

def bare():
    net = Net()
    net.mean = net.std = net.size = None
    return net

def unnamed():
    net = Net()
    net.class_names = None
    return net

def nothing():
    pass

def raises():
    raise RuntimeError("mine\\nand more")
"""

MODEL = ("network.py:Net", "--weights", "w.safetensors")
FIT = ("fit", "network.py:Net", "images", "--weights", "w.safetensors", "--mu", 1)


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


def run(*arguments) -> Outcome:
    """Runs a command to its end."""
    out, err = io.StringIO(), io.StringIO()
    words = ["vebi", *map(str, arguments)]
    with patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main()
    return Outcome(end.value.code, out.getvalue(), err.getvalue())


def vebi(*arguments) -> Outcome:
    """Runs a command that must succeed."""
    outcome = run(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def fails(code: int, *arguments) -> str:
    """Runs a command that must fail with a code and one sentence on stderr, which it returns.

    Before it there are notes at most, and the progress of one that takes long on a busy machine. A user must never see
    a traceback, nor be told of a defect.
    """
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    lines = outcome.err.splitlines()
    assert [x for x in lines if not x.startswith("note: ") and not re.search(r": \d+ of \d+$", x)] == lines[-1:], (
        outcome.err
    )
    assert lines[-1].startswith("vebi: "), outcome.err
    assert not {"Traceback", "defect"} & set(re.findall(r"\w+", outcome.err)), outcome.err
    return lines[-1]


def truncate(path: str, size: int) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:size])


def json_of(*arguments):
    """What a command that must succeed prints with --json."""
    return json.loads(vebi(*arguments, "--json").out)
