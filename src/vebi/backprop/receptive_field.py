"""Receptive fields: which pixels a position of a layer can see, measured on the network itself.

A backward pass in which every operator only tells whether a value reaches another one: kernels of ones, open
activation functions and norms, pooling over the whole window, and no negative numbers, so that no two ways cancel out.
What is not zero at the input is the receptive field, for any chain of strides, padding, dilation and pooling, without
reading the network's source. The statistics that a layer or group norm takes of the whole map do not count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from vebi.activations.recorder import Recorder
from vebi.backprop.rules import ACTIVATION_BACKWARD, passing
from vebi.models.classifier import Classifier, evaluating

aten = torch.ops.aten
_NORMS = (
    aten.native_batch_norm_backward,
    aten.native_layer_norm_backward,
    aten.native_group_norm_backward,
)


@dataclass(frozen=True)
class Field:
    """Position (i, j) of a layer sees the pixels from ``start + jump * (i, j)``, ``size`` (h, w) of them.

    Parts of it may lie outside the image. Of a field that is larger than the image, a part as large as the image
    around its centre is kept.
    """

    start: tuple[float, float]
    jump: tuple[float, float]
    size: tuple[int, int]

    def corner(self, position: tuple[int, int]) -> tuple[int, int]:
        """Top left pixel (y, x) of the field of a position."""
        return tuple(math.floor(s + j * p + 0.5) for s, j, p in zip(self.start, self.jump, position, strict=True))


class _Reach(TorchDispatchMode):
    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        packet = operator.overloadpacket
        if packet in ACTIVATION_BACKWARD:
            return passing(packet, args[0])
        if packet in _NORMS:
            return args[0], None, None
        if packet is aten.max_pool2d_with_indices_backward:
            return _unpool(*args)
        if packet is aten.convolution_backward:
            return _convolution(operator, *args)
        if packet is aten.where:  # a gate, such as the backward pass of clamp: open, whatever the picture was
            return sum(value for value in args[1:] if isinstance(value, Tensor))
        if packet in (aten.masked_fill, aten.masked_fill_):
            return args[0]
        return tree_map_only(Tensor, _positive, operator(*args, **(kwargs or {})))


def _positive(values: Tensor) -> Tensor:
    return values.abs() if values.is_floating_point() else values


def _indicator(values: Tensor) -> Tensor:
    return values.ne(0).to(values.dtype)


def _convolution(operator, gradient, inputs, weight, bias, *shape_and_mask) -> tuple[Tensor | None, None, None]:
    """Every channel reaches every other one of its group; where there is one group only, one channel tells it all."""
    *shape, groups, mask = shape_and_mask
    if not mask[0]:
        return None, None, None
    channels = inputs.shape[1]
    if groups == 1:
        gradient, inputs, weight = gradient.amax(dim=1, keepdim=True), inputs[:, :1], weight[:1, :1]
    kernel = torch.ones_like(weight)
    reached, *_ = operator(gradient, inputs, kernel, bias, *shape, groups, [True, False, False])
    return _indicator(reached).expand(-1, channels, -1, -1).contiguous(), None, None


def _unpool(gradient: Tensor, inputs: Tensor, kernel, stride, padding, dilation, _ceil, _indices) -> Tensor:
    kernel, stride, padding, dilation = (
        list(v) * (1 if len(v) == 2 else 2) for v in (kernel, stride or kernel, padding, dilation)
    )
    channels, (height, width) = inputs.shape[1], inputs.shape[2:]
    plane = F.conv_transpose2d(
        gradient, gradient.new_ones(channels, 1, *kernel), None, stride, 0, 0, channels, dilation
    )
    plane = F.pad(
        plane, (0, max(0, width + padding[1] - plane.shape[3]), 0, max(0, height + padding[0] - plane.shape[2]))
    )
    return _indicator(plane[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width])


def receptive_fields(classifier: Classifier, names: Sequence[str]) -> dict[str, Field]:
    """The receptive field of the positions of every named layer, at the classifier's input size."""
    with evaluating(classifier.module), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.blank(4).requires_grad_()
        with Recorder(classifier.module, names, lambda _, __, a: a.detach()) as recorder:
            classifier.scores(inputs.clone())  # a network may change its input in place
        fields = {}
        for name in names:
            activation = recorder.kept[name]
            if activation.ndim == 2 or max(activation.shape[2:]) == 1:
                fields[name] = Field((0.0, 0.0), (0.0, 0.0), tuple(inputs.shape[2:]))
                continue
            height, width = activation.shape[2:]
            seed = torch.zeros_like(activation)
            # an image each for the first position and its diagonal neighbour, for the last but one and the last
            for image, place in enumerate((0, 1, -2, -1)):
                seed[image, :, max(-height, min(place, height - 1)), max(-width, min(place, width - 1))] = 1
            with _Reach():
                (reached,) = torch.autograd.grad(recorder.edges[name], inputs, seed, retain_graph=True)
            axes = [_axis(reached.ne(0).any(dim=1).any(dim=3 - k), n) for k, n in ((1, height), (2, width))]
            fields[name] = Field(*(tuple(pair) for pair in zip(*axes, strict=True)))
    return fields


def _axis(reached: Tensor, positions: int) -> tuple[float, float, int]:
    """start, jump and size along one axis, from what the first two and the last two positions reach (4 x pixels)."""
    pixels = reached.shape[1]
    found = _measured(reached, positions) if reached.any(dim=1).all() else None  # some see only padding
    if found is None:  # wider than can be seen: in networks that pad so much, positions stand evenly over the picture
        jump = pixels / positions
        return (jump - pixels) / 2, jump, pixels
    start, jump, size = found
    return start + max(0, size - pixels) / 2, float(jump), min(size, pixels)


def _measured(reached: Tensor, positions: int) -> tuple[int, int, int] | None:
    """The same, whole, where both ends of some field lie inside the picture; None where they do not."""
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
