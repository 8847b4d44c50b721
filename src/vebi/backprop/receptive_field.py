"""Receptive fields: which pixels a position of a layer can see, measured on the network itself.

A backward pass in which every operator only tells whether a value reaches another one: kernels of ones, open
activation functions and norms, pooling over all of the window, and no negative numbers, so that no two paths cancel
out. What is not zero at the input is the receptive field, for any chain of strides, padding, dilation and pooling,
without reading the network's source. The statistics that a layer or group norm takes of the whole map do not count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.utils._pytree import tree_map_only

from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.dispatch import BackwardMode, Operator
from vebi.backprop.rules import ACTIVATION_BACKWARD, pass_through
from vebi.backprop.stride_fix import pair
from vebi.models.classifier import Classifier

aten = torch.ops.aten
_NORMS = (
    aten.native_batch_norm_backward,
    aten.native_layer_norm_backward,
    aten.native_group_norm_backward,
)


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that the positions of a layer see.

    Position (i, j) sees those from ``start + jump * (i, j)`` on, ``size`` of them. Parts of the field may lie outside
    of the image. Of a field that is larger than the image, a part as large as the image around its centre is kept.

    Attributes:
        start: Top left pixel (y, x) of the field of position (0, 0).
        jump: Pixels from one position to the next, (vertically, horizontally).
        size: Pixels, (height, width).
    """

    start: tuple[float, float]
    jump: tuple[float, float]
    size: tuple[int, int]

    def corner(self, position: tuple[int, int]) -> tuple[int, int]:
        """Finds where the field of a position begins.

        Args:
            position: Row and column in the layer's map.

        Returns:
            Its top left pixel (y, x).
        """
        y, x = (math.floor(s + j * p + 0.5) for s, j, p in zip(self.start, self.jump, position, strict=True))
        return y, x


def receptive_fields(classifier: Classifier, names: Sequence[str]) -> dict[str, ReceptiveField]:
    """Measures the receptive fields of layers at the classifier's input size.

    Args:
        classifier: The network.
        names: Names of layers.

    Returns:
        Name of a layer -> the field of its positions; all of the image for a layer without positions.

    Raises:
        ModelError: A layer did not run, or no gradient leads from it to the image.
    """
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.zero_input(4).requires_grad_()
        with ActivationRecorder(classifier.model, names, lambda _, __, a: a.detach()) as recorder:
            classifier.logits(inputs.clone())  # a network may change its input in place
        return {name: _field(recorder.gradient_edges[name], recorder.records[name], inputs) for name in names}


def _field(start: GradientEdge, activation: Tensor, inputs: Tensor) -> ReceptiveField:
    """The field of a layer with these activations of four images."""
    if activation.ndim == 2 or max(activation.shape[2:]) == 1:
        return ReceptiveField((0.0, 0.0), (0.0, 0.0), (inputs.shape[2], inputs.shape[3]))
    height, width = activation.shape[2:]
    seed = torch.zeros_like(activation)
    # an image each for the first position and its diagonal neighbour, for the last but one and the last
    for image, position in enumerate((0, 1, -2, -1)):
        seed[image, :, max(-height, min(position, height - 1)), max(-width, min(position, width - 1))] = 1
    with BackwardMode(_reach):
        (reached,) = torch.autograd.grad(start, inputs, seed, retain_graph=True)
    seen = reached.ne(0).any(dim=1)
    start_y, jump_y, size_y = _axis(seen.any(dim=2), height)
    start_x, jump_x, size_x = _axis(seen.any(dim=1), width)
    return ReceptiveField((start_y, start_x), (jump_y, jump_x), (size_y, size_x))


def _axis(reached: Tensor, positions: int) -> tuple[float, float, int]:
    """start, jump and size along one axis, from what the first two and the last two positions reach (4 x pixels)."""
    pixels = reached.shape[1]
    measured = _measure(reached, positions) if reached.any(dim=1).all() else None  # some see only padding
    if measured is None:  # wider than can be seen: in networks that pad so much, positions lie evenly over the image
        jump = pixels / positions
        return (jump - pixels) / 2, jump, pixels
    start, step, size = measured
    return start + max(0, size - pixels) / 2, float(step), min(size, pixels)


def _measure(reached: Tensor, positions: int) -> tuple[int, int, int] | None:
    """start, jump and full size, where both ends of some field lie inside the image; None where they do not."""
    pixels = reached.shape[1]
    first_end, second_end = (int(row.nonzero().amax()) for row in reached[:2])
    before_start, last_start = (int(row.nonzero().amin()) for row in reached[2:])
    if first_end == pixels - 1 or last_start == 0:
        return None
    if second_end < pixels - 1:
        jump = second_end - first_end
    elif before_start > 0:
        jump = last_start - before_start
    else:
        return None
    size = first_end - last_start + jump * (positions - 1) + 1
    return first_end - size + 1, jump, size


def _reach(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    """A backward operator whose result is positive where something reaches it, and zero elsewhere."""
    packet = operator.overloadpacket
    if packet in ACTIVATION_BACKWARD:
        return pass_through(packet, args[0])
    if packet in _NORMS:
        return args[0], None, None
    if packet is aten.max_pool2d_with_indices_backward:
        return _unpool(*args)
    if packet is aten.convolution_backward:
        return _convolution(operator, *args)
    if packet is aten.where:  # a gate, such as the backward pass of clamp: open, whatever the image was
        return sum(value for value in args[1:] if isinstance(value, Tensor))
    if packet in (aten.masked_fill, aten.masked_fill_):
        return args[0]
    return tree_map_only(Tensor, _positive, operator(*args, **kwargs))


def _positive(values: Tensor) -> Tensor:
    return values.abs() if values.is_floating_point() else values


def _indicator(values: Tensor) -> Tensor:
    return values.ne(0).to(values.dtype)


def _convolution(
    operator: Operator, gradient: Tensor, inputs: Tensor, weight: Tensor, bias_sizes: object, *shape_and_mask: Any
) -> tuple[Tensor | None, None, None]:
    """Every channel reaches every other one of its group; where there is one group only, one channel tells it all."""
    *shape, groups, mask = shape_and_mask
    if not mask[0]:
        return None, None, None
    channels = inputs.shape[1]
    if groups == 1:
        gradient, inputs, weight = gradient.amax(dim=1, keepdim=True), inputs[:, :1], weight[:1, :1]
    kernel = torch.ones_like(weight)
    reached, *_ = operator(gradient, inputs, kernel, bias_sizes, *shape, groups, [True, False, False])
    return _indicator(reached).expand(-1, channels, -1, -1).contiguous(), None, None


def _unpool(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    _ceil_mode: bool,
    _indices: Tensor,
) -> Tensor:
    """All of a pooling window is reached, not its maximum alone."""
    kernel, stride, padding, dilation = pair(kernel), pair(stride or kernel), pair(padding), pair(dilation)
    channels, (height, width) = inputs.shape[1], inputs.shape[2:]
    ones = gradient.new_ones(channels, 1, *kernel)
    plane = F.conv_transpose2d(gradient, ones, None, stride, 0, 0, channels, dilation)
    right, bottom = max(0, width + padding[1] - plane.shape[3]), max(0, height + padding[0] - plane.shape[2])
    plane = F.pad(plane, (0, right, 0, bottom))
    return _indicator(plane[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width])
