"""A network in which activation functions are modules, functions, in-place and reused."""

import torch
import torch.nn.functional as F
from torch import nn

from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv(self.relu(x))
        y += x  # changed in place after it was recorded
        return self.relu(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU())
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 5)
        self.unused = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = F.relu(F.gelu(x)).mean((2, 3))
        return self.head(torch.relu(x))


def classifier_of(module, size=8):
    return Classifier(module.eval(), Preprocess(size, (0.5,) * 3, (0.5,) * 3))
