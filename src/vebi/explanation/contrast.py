"""Where in an image the network sees one class rather than the others: what heatmaps are held against.

Features can be shared by classes, and fire where another class is. What they are held against are class activation maps
(Selvaraju et al., ICCV 2017) of the contrast between a class and all others: at the last layer that has positions,
which knows the class best, and at all layers, of which the early ones know best where things end.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.feature_maps import spatial_layers
from vebi.backprop.heatmaps import rescale, upsample

#: What passes of a heatmap: nothing up to the first share of the largest contrast at the last layer, all from the
#: second one on.
LAST_LAYER = 0.2, 0.5
#: The same for the mean over all layers, of the positive parts, each scaled to 1.
ALL_LAYERS = 0.15, 0.4
#: What is left of the rest, as a share: in the order of the contrast and, with a third of its say, of the heatmap.
LEFT, SAY = 0.001, 1 / 3


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


def class_contrasts(
    recorder: ActivationRecorder[Tensor],
    scores: Float[Tensor, "n classes"],
    targets: Sequence[int],
    size: Sequence[int],
) -> Float[Tensor, "n layers h w"]:
    """How much each place speaks for a class rather than for the others: the gradient's mean times the activations.

    Args:
        recorder: Of the forward pass, with activations and edges of the recorded layers.
        scores: The class scores, with their graph.
        targets: The class that each image is explained for.
        size: Height and width of the input.

    Returns:
        A map for every recorded layer with positions, in the order of the layers; below 0 where a place speaks against
        the class.

    Reference:
        Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2, for the contrast in place of a score and without
        the ReLU.
    """
    layers = spatial_layers(recorder)
    if not layers:
        return torch.zeros(len(scores), 0, *size, device=scores.device)
    edges = [recorder.gradient_edges[layer] for layer in layers]
    gradients = torch.autograd.grad(scores, edges, contrast_gradient(scores, targets), retain_graph=True)
    maps = [
        upsample((gradient.mean(dim=(2, 3), keepdim=True) * recorder.records[layer]).sum(dim=1), size)
        for layer, gradient in zip(layers, gradients, strict=True)
    ]
    return torch.stack(maps, dim=1)


def keep_to_class(
    heatmap: Float[np.ndarray, "h w"], contrasts: Float[np.ndarray, "layers h w"]
) -> Float[np.ndarray, "h w"]:
    """A heatmap where a class is, and next to nothing elsewhere.

    The order of what is dark matters, too: it has to follow what the network knows of the class, not the image alone.

    Args:
        heatmap: Not below 0.
        contrasts: Of the class in the image, see ``class_contrasts``.

    Returns:
        The heatmap times two gates, which open with the contrast at the last layer and with the mean over all layers;
        and a thousandth of the contrast at the last layer, on the scale of the heatmap, and of a third of it. The
        heatmap itself where that contrast is the same everywhere.
    """
    if not len(contrasts) or contrasts[-1].min() == contrasts[-1].max():
        return heatmap
    shares = _scale(np.maximum(contrasts, 0))
    gate = _open(shares[-1], *LAST_LAYER) * _open(_scale(shares.mean(axis=0)), *ALL_LAYERS)
    kept: np.ndarray = heatmap * gate + LEFT * (heatmap.max() * rescale(contrasts[-1]) + SAY * heatmap)
    return kept.astype(heatmap.dtype)


def _scale(maps: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n h w"]:
    """The maps divided by their maxima; one of zeros stays so."""
    high = maps.max(axis=(-2, -1), keepdims=True)
    scaled: np.ndarray = maps / np.where(high > 0, high, 1)
    return scaled


def _open(share: Float[np.ndarray, "h w"], low: float, high: float) -> Float[np.ndarray, "h w"]:
    """0 up to the lower share, 1 from the higher one on."""
    gate: np.ndarray = np.clip((share - low) / (high - low), 0, 1)
    return gate
