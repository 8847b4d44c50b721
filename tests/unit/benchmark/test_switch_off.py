"""Switching features off, as benchmarks/switch_off.py does it for benchmarks/descriptors.md."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support import load_script
from torch import nn

import vebi
from vebi.activations.layers import Feature

FILE = Path(__file__).parents[3] / "benchmarks" / "switch_off.py"


class Split(nn.Module):
    """The score of each class is the brightness of one color; a third channel of the layer is for nobody."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return 10 * self.relu(x).mean(dim=(2, 3))[:, :2]


@pytest.fixture
def board(monkeypatch):
    script = load_script(FILE, "switch_off", monkeypatch)
    monkeypatch.setattr(script, "BATCH", 3)
    inputs = torch.zeros(5, 3, 4, 4)
    inputs[:, 2] = 1
    inputs[torch.arange(5), [0, 1, 0, 0, 1]] = 0.5
    classifier = vebi.Classifier(Split(), vebi.Preprocess(4, (0.0,) * 3, (1.0,) * 3), ("one", "other"))
    live = {"relu": [Feature("relu", channel) for channel in (0, 1, 2)]}
    return script.SwitchBoard(classifier, inputs, torch.tensor([0, 1, 0, 0, 1]), live)


def test_a_class_loses_its_probability_without_its_feature_and_nothing_without_others(board):
    own = [[Feature("relu", 0)], [Feature("relu", 1)]]
    idle = [[Feature("relu", 2)], [Feature("relu", 2)]]
    probability = float(torch.tensor([5.0, 0.0]).softmax(0)[0])
    lost, _ = board.lost(own)
    assert lost == pytest.approx(probability - 0.5)
    assert board.lost(idle)[0] == pytest.approx(0, abs=1e-6)
    assert board.lost([[], []]) == (0, 0)
    assert board.inputs[0, 0, 0, 0] == 0.5  # the network changes its input in place


def test_others_are_as_many_of_the_same_layers(board, monkeypatch):
    script = load_script(FILE, "switch_off", monkeypatch)
    live = {"a": [Feature("a", k) for k in range(4)], "b": [Feature("b", 7)]}
    chosen = [Feature("a", 1), Feature("a", 2), Feature("b", 7)]
    drawn = script.others(chosen, live, np.random.default_rng(0))
    assert sorted(drawn) == [Feature("a", 0), Feature("a", 3)]  # b has no other
