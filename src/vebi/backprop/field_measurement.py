"""What the positions of a layer see of the one before it, measured by a backward pass.

In it every operator only tells whether a value reaches another one: kernels of ones, open activation functions and
norms, pooling over all of the window, and no negative numbers, so that no two paths cancel out. What is not zero at the
layer before is seen of it, for any chain of strides, padding, dilation and pooling. The statistics that a layer or
group norm takes of the whole map do not count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.utils._pytree import tree_map_only

from vebi.backprop.dispatch import BackwardMode, Operator
from vebi.backprop.field_axis import from_ends, from_inside, may_be_cut
from vebi.backprop.field_steps import Place, Step
from vebi.backprop.rules import ACTIVATION_BACKWARD, pass_through
from vebi.backprop.stride_fix import pair
from vebi.models.model_errors import errors_of_backward

aten = torch.ops.aten
_NORMS = (
    aten.native_batch_norm_backward,
    aten.native_layer_norm_backward,
    aten.native_group_norm_backward,
)


def measure_step(start: Place, end: Place) -> Step | None:
    """What the positions of a layer see of the one before it, along both axes; None where they see nothing of it."""
    height, width = start.shape[2:]
    inside: list[Step] = []
    for share in (0.25, 0.5):  # two positions tell it, if all that they see lies inside
        ys, xs = _pair(height, share), _pair(width, share)
        rows, columns = _see(start, end, ys, xs)
        y, x = from_inside(rows, ys), from_inside(columns, xs)
        if y is None or x is None:
            continue
        if not (may_be_cut(rows, height) or may_be_cut(columns, width)):
            return y, x
        inside.append((y, x))
    if len(inside) == 2 and inside[0] == inside[1]:
        return inside[0]
    first = _see(start, end, (0, min(1, height - 1)), (0, min(1, width - 1)))
    last = _see(start, end, (max(0, height - 2), height - 1), (max(0, width - 2), width - 1))
    rows, columns = (np.concatenate([first[k], last[k]]) for k in (0, 1))
    if not rows.any():
        return None
    return from_ends(rows, height), from_ends(columns, width)


def _pair(count: int, share: float) -> tuple[int, int]:
    """Two positions, as far from the ends as a share of all says, or next to each other in the middle."""
    first = int(share * (count - 1))
    return first, min(max(count - 1 - first, first + 1), count - 1)


def _see(
    start: Place, end: Place, ys: tuple[int, int], xs: tuple[int, int]
) -> tuple[Bool[np.ndarray, "2 rows"], Bool[np.ndarray, "2 columns"]]:
    """The rows and columns of a layer that two positions of another one see."""
    edges = [GradientEdge(*place) for place in (start, end)]
    pixels = []
    for y, x in zip(ys, xs, strict=True):
        seed = torch.zeros(start.shape, device=start.node._input_metadata[start.output].device)
        seed[:, :, y, x] = 1
        with errors_of_backward(), BackwardMode(_reach):
            (reached,) = torch.autograd.grad(edges[0], edges[1:], seed, retain_graph=True)
        pixels.append(reached[0].amax(dim=0).gt(0).numpy(force=True))  # there is nothing below 0
    return np.stack([seen.any(axis=1) for seen in pixels]), np.stack([seen.any(axis=0) for seen in pixels])


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
