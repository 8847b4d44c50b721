"""Where in an image the network sees one class rather than the others: what heatmaps are held against.

Features can be shared by classes, and fire where another class is. What they are held against are class activation maps
(Selvaraju et al., ICCV 2017) of the contrast between a class and all others: at the end of the recorded layers that
have positions, where the class is known best, and at all layers, of which the early ones know best where things end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.graph import Node

from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.feature_maps import spatial_layers
from vebi.backprop.heatmaps import upsample, upsample_sum
from vebi.models.evaluation import widen
from vebi.models.model_errors import errors_of_backward

#: What passes of a heatmap: nothing up to the first share of the largest contrast at the last layer, or at the ends of
#: its branches together, all from the second one on.
LAST_LAYER_GATE = 0.2, 0.5
#: The same for the mean over all layers, of the positive parts, each scaled to 1.
ALL_LAYERS_GATE = 0.15, 0.4
#: What is left where a gate is closed, as a share: the contrast, and with a part of its weight the heatmap.
REST, HEATMAP_IN_REST = 0.001, 1 / 3


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


@dataclass(frozen=True, eq=False)
class Gates:
    """What passes of the heatmaps of a batch of images.

    Attributes:
        open: How much of a heatmap passes at each pixel, n x h x w, in [0, 1].
        order: The contrast at the last layer, scaled to [0, 1]: the order of what is left dark.
    """

    open: Float[Tensor, "n h w"]
    order: Float[Tensor, "n h w"]

    def cpu(self) -> "Gates":
        """The same on the CPU."""
        return Gates(self.open.cpu(), self.order.cpu())

    def apply(self, n: int, heatmap: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """A heatmap of one of the images where its class is, and next to nothing elsewhere.

        The order of what is dark matters, too: it has to follow what the network knows of the class, not the image
        alone.

        Args:
            n: The image.
            heatmap: Not below 0.

        Returns:
            The heatmap where the gates are open; where they are closed a thousandth of the order, on the scale of the
            heatmap, and of a third of the heatmap.
        """
        gate, order = self.open[n].numpy(), self.order[n].numpy()
        rest = REST * (heatmap.max() * order + HEATMAP_IN_REST * heatmap)
        kept: np.ndarray = gate * heatmap + (1 - gate) * rest
        return kept.astype(heatmap.dtype)


def make_gates(
    recorder: ActivationRecorder[Tensor],
    scores: Float[Tensor, "n classes"],
    targets: Sequence[int],
    size: Sequence[int],
) -> Gates:
    """Where heatmaps are kept, by how much each place speaks for a class rather than for the others.

    The contrast of a layer is the mean of the gradient over its positions, times the activations. A gate opens where
    that of the last recorded layer is high, and another one where the mean over all layers is, of the positive parts,
    each scaled to 1. Branches that end side by side, as in GoogLeNet, are one last layer: their contrasts are added
    up, which is the contrast of the layer that joins them. Where nothing speaks for the class at the last layer, the
    gate opens where least speaks against it.

    Args:
        recorder: Of the forward pass, with activations and edges of the recorded layers.
        scores: The class scores, with their graph.
        targets: The class that each image is explained for.
        size: Height and width of the input.

    Returns:
        The gates; open everywhere for an image whose contrast is the same everywhere, or where no recorded layer has
        positions and leads to the scores.

    Reference:
        Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2, for the contrast in place of a score and without
        the ReLU.
    """
    everywhere = torch.ones(len(scores), *size, device=scores.device)
    layers = spatial_layers(recorder)
    edges = [recorder.gradient_edges[layer] for layer in layers]
    start = contrast_gradient(scores, targets)
    with errors_of_backward():
        gradients = torch.autograd.grad(scores, edges, start, retain_graph=True, allow_unused=True) if layers else ()
    places = [(layer, gradient) for layer, gradient in zip(layers, gradients, strict=True) if gradient is not None]
    if not places:
        return Gates(everywhere, everywhere * 0)
    contrasts = [
        torch.einsum("nk,nkuv->nuv", widen(gradient).mean(dim=(2, 3)), recorder.records[layer])
        for layer, gradient in places
    ]
    total = upsample_sum([_to_one(one.clamp(min=0)) for one in contrasts], size)
    nodes = [recorder.gradient_edges[layer].node for layer, _ in places]  # the same one for a layer of two names
    ends = {node: one for node, one in zip(nodes, contrasts, strict=True) if one.shape == contrasts[-1].shape}
    contrast = torch.stack([ends[node] for node in _find_ends(scores, nodes) if node in ends]).sum(dim=0)
    low, high = (limit[:, None, None] for limit in (contrast.flatten(1).amin(dim=1), contrast.flatten(1).amax(dim=1)))
    large, told_apart, for_it = upsample(contrast, size), high > low, high > 0
    order = ((large - low) / (high - low).where(told_apart, 1)).where(told_apart, 0).clamp(0, 1)
    last = _open(torch.where(for_it, _to_one(large.clamp(min=0)), order), *LAST_LAYER_GATE)
    both = last * _open(_to_one(total), *ALL_LAYERS_GATE)
    return Gates(torch.where(told_apart, torch.where(for_it, both, last), 1), order)


def _find_ends(scores: Float[Tensor, "n classes"], nodes: Sequence[Node]) -> list[Node]:
    """The layers that are reached from the scores without passing through another one; the last one always is."""
    layers, seen = dict.fromkeys(nodes), set[Node]()
    pending = [scores.grad_fn]
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            pending += () if node in layers else [following for following, _ in node.next_functions]
    return [node for node in layers if node in seen]


def _to_one(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """The maps divided by their maxima; one of zeros stays so."""
    high = maps.flatten(1).amax(dim=1)[:, None, None]
    return maps / high.where(high > 0, 1)


def _open(share: Float[Tensor, "n h w"], low: float, high: float) -> Float[Tensor, "n h w"]:
    """0 up to the lower share, 1 from the higher one on."""
    return ((share - low) / (high - low)).clamp(0, 1)
