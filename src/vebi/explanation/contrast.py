"""Where in an image the network sees one class rather than the others: what a heatmap is held against.

Features can be shared by classes, and fire where another class is. The gate is a class activation map (Selvaraju et
al., ICCV 2017) of the contrast between a class and all others, at the last layer that still has positions.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.feature_maps import spatial_layers
from vebi.backprop.heatmaps import upsample

#: Shares of the largest contrast below which nothing passes, and from which on all does; what is left of the rest keeps
#: its order.
CLOSED, OPEN, LEFT = 0.1, 0.5, 0.01


def contrast_gradient(scores: Float[Tensor, "n classes"], targets: Sequence[int]) -> Float[Tensor, "n classes"]:
    """The gradient of z_c - log sum exp of the other scores, with respect to the scores z.

    Args:
        scores: Class scores before any softmax.
        targets: The class c of each image.

    Returns:
        1 at the class, and minus the softmax over the others elsewhere; 0 there where there is no other class.
    """
    rows = torch.arange(len(scores), device=scores.device)
    index: Int[Tensor, " n"] = torch.as_tensor(list(targets), device=scores.device)
    rivals = scores.detach().clone()
    rivals[rows, index] = -torch.inf
    gradient = -rivals.softmax(dim=1).nan_to_num()
    gradient[rows, index] = 1
    return gradient


def contrast_gates(
    recorder: ActivationRecorder[Tensor],
    scores: Float[Tensor, "n classes"],
    targets: Sequence[int],
    size: Sequence[int],
) -> Float[Tensor, "n h w"]:
    """How far each pixel lets a heatmap through.

    Args:
        recorder: Of the forward pass, with activations and edges of the recorded layers.
        scores: The class scores, with their graph.
        targets: The class that each image is explained for.
        size: Height and width of the input.

    Returns:
        In [0.01, 1]; 1 everywhere where no recorded layer has positions, or nothing speaks for the class.
    """
    layers = spatial_layers(recorder)
    if not layers:
        return torch.ones(len(scores), *size, device=scores.device)
    edge, activation = recorder.gradient_edges[layers[-1]], recorder.records[layers[-1]]
    (gradient,) = torch.autograd.grad(scores, [edge], contrast_gradient(scores, targets), retain_graph=True)
    contrast = (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1).clamp(min=0)
    large = upsample(contrast, size)
    highest = large.flatten(1).amax(dim=1)[:, None, None]
    share = torch.where(highest > 0, large / highest.clamp(min=torch.finfo(large.dtype).tiny), 1)
    return LEFT + (1 - LEFT) * ((share - CLOSED) / (OPEN - CLOSED)).clamp(0, 1)
