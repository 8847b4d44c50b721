"""Methods of other libraries as rows of a table: ``vebi bench table2 --method benchmarks/peers.py:lrp``.

Needs zennit-crp (``pip install zennit-crp==0.6.0``), which takes zennit, LGPL.
"""

import copy
from types import MethodType

import torch
import torch.nn.functional as F
from crp.attribution import CondAttribution
from torch import Tensor, nn
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import EpsilonPlus
from zennit.layer import Sum

import vebi
from vebi.methods import Explainer, adapters
from vebi.models.flower_resnet import FlowerResNet, ResidualBlock
from vebi.models.flower_vgg import FlowerVgg


def lrp(classifier: vebi.Classifier) -> Explainer:
    """Layer-wise relevance propagation: epsilon rule in linear layers, z-plus rule in convolutions.

    Batch normalisation is merged into convolutions; relevance is shared between the branches of a residual block by
    what they add, and among the positions below a global mean by their activation.
    """
    model = copy.deepcopy(classifier.model)  # it is changed, and its parameters are frozen
    for part in model.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
        if isinstance(part, ResidualBlock):
            part.sum = Sum()
            part.forward = MethodType(_forward, part)
    if not isinstance(model, FlowerVgg):
        model = _with_mean_as_module(model)
    return adapters.zennit_crp(CondAttribution(model), EpsilonPlus(canonizers=[SequentialMergeBatchNorm()]), init_rel=1)


def _with_mean_as_module(model: nn.Module) -> nn.Module:
    """FlowerNet or FlowerResNet with its global mean, and its first ReLU, as modules, to which a rule applies."""
    parts = list(model.children())
    if isinstance(model, FlowerResNet):
        parts.insert(2, nn.ReLU())
    return nn.Sequential(*parts[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), parts[-1]).eval()


def _forward(block: ResidualBlock, x: Tensor) -> Tensor:
    """What the block computes, with its sum as a module."""
    residual = block.norm2(block.conv2(F.relu(block.norm1(block.conv1(x)))))
    return F.relu(block.sum(torch.stack([residual, block.shortcut_norm(block.shortcut(x))], dim=-1)))
