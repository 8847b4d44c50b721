"""Receptive fields: which pixels a position of a layer can see, measured on the network itself.

A backward pass in which every operator only tells whether a value reaches another one: kernels of ones, open
activation functions and norms, pooling over all of the window, and no negative numbers, so that no two paths cancel
out. What is not zero at the layer before is seen of it, for any chain of strides, padding, dilation and pooling,
without reading the network's source. The statistics that a layer or group norm takes of the whole map do not count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._pytree import tree_map_only

from vebi.activations.detached import leading_nodes
from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.dispatch import BackwardMode, Operator
from vebi.backprop.field_axis import Axis, from_ends, from_inside, join, may_be_cut
from vebi.backprop.rules import ACTIVATION_BACKWARD, pass_through
from vebi.backprop.stride_fix import pair
from vebi.errors import ModelError, join_names
from vebi.models.classifier import Classifier
from vebi.models.model_errors import errors_of_backward

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

    From layer to layer, what a position sees of the layers just before it is measured; what these see of the image is
    known by then. So fields that reach beyond the image are known, too, and every part of the network is passed once.

    Args:
        classifier: The network.
        names: Names of layers.

    Returns:
        Name of a layer -> the field of its positions; all of the image for a layer without positions.

    Raises:
        ModelError: A layer did not run, or no gradient leads from it to the image.
    """
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.zero_input(2).requires_grad_()
        with ActivationRecorder(classifier.model, None, _outline) as recorder:
            classifier.logits(inputs.clone())  # a network may change its input in place
        recorder.check(names)
        nodes = {name: recorder.gradient_edges[name].node for name in names}
        leading = leading_nodes(nodes.values(), get_gradient_edge(inputs).node)
        cut_off = [name for name, node in nodes.items() if node not in leading]
        if cut_off:
            raise ModelError(f"no gradient leads from {join_names(cut_off)} to the image: name other layers")
        fields = _Fields(recorder, inputs)
        return {name: fields.of(name) for name in names}


def _outline(_name: str, _kind: str, activation: Tensor) -> Tensor:
    """An activation without its values: one that takes no memory."""
    return activation.new_zeros(()).expand(activation.shape)


class _Fields:
    """The fields of layers, along both axes and in full."""

    def __init__(self, recorder: ActivationRecorder[Tensor], inputs: Tensor) -> None:
        self._inputs = inputs
        self._edges = recorder.gradient_edges
        self._shapes = {name: output.shape for name, output in recorder.records.items()}
        self._image = get_gradient_edge(inputs)
        # later names of a node would be met on the way from it to itself; and what has no positions tells nothing
        spatial = [name for name, edge in self._edges.items() if len(self._shapes[name]) == 4]
        self._names = {self._edges[name].node: name for name in reversed(spatial)}
        self._known: dict[Node, tuple[Axis, Axis]] = {self._image.node: (Axis(0, 1, 1), Axis(0, 1, 1))}

    def of(self, name: str) -> ReceptiveField:
        """The field of a layer."""
        height, width = self._inputs.shape[2:]
        if len(self._shapes[name]) != 4:
            return ReceptiveField((0.0, 0.0), (0.0, 0.0), (height, width))
        node = self._edges[name].node
        pending = [node]
        while pending:  # those before a layer first
            unknown = [other for other in self._before(pending[-1]) if other not in self._known]
            if unknown:
                pending += unknown
                continue
            known = pending.pop()
            if known not in self._known:
                self._known[known] = self._measure(known)
        y, x = (axis.clip(pixels) for axis, pixels in zip(self._known[node], (height, width), strict=True))
        return ReceptiveField((y.start, x.start), (y.jump, x.jump), (round(y.size), round(x.size)))

    def _before(self, node: Node) -> list[Node]:
        """The layers just before a layer, and the image where a way leads there without passing one."""
        ends, seen = dict[Node, None](), set[Node]()
        pending = [following for following, _ in node.next_functions]
        while pending:
            one = pending.pop()
            if one is None or one in seen:
                continue
            seen.add(one)
            if one in self._names or one is self._image.node:
                ends[one] = None
            else:
                pending += [following for following, _ in one.next_functions]
        return list(ends)

    def _measure(self, node: Node) -> tuple[Axis, Axis]:
        """The field of a layer, from those of the layers just before it."""
        name = self._names[node]
        shape, ways = self._shapes[name], list[tuple[Axis, Axis]]()
        for end in self._before(node):
            step = _step(self._edges[name], shape, self._edge(end))
            if step is not None:
                known = self._known[end]
                ways.append((step[0].through(known[0]), step[1].through(known[1])))
        y, x = (join([way[k] for way in ways], shape[2 + k], self._inputs.shape[2 + k]) for k in (0, 1))
        return y, x

    def _edge(self, node: Node) -> GradientEdge:
        return self._image if node is self._image.node else self._edges[self._names[node]]


def _step(start: GradientEdge, shape: torch.Size, end: GradientEdge) -> tuple[Axis, Axis] | None:
    """What the positions of a layer see of the one before it, along both axes; None where they see nothing of it."""
    height, width = shape[2:]
    inside: list[tuple[Axis, Axis]] = []
    for share in (0.25, 0.5):  # two positions tell it, if all that they see lies inside
        ys, xs = _pair(height, share), _pair(width, share)
        rows, columns = _see(start, shape, end, ys, xs)
        y, x = from_inside(rows, ys), from_inside(columns, xs)
        if y is None or x is None:
            continue
        if not (may_be_cut(rows, height) or may_be_cut(columns, width)):
            return y, x
        inside.append((y, x))
    if len(inside) == 2 and inside[0] == inside[1]:
        return inside[0]
    first = _see(start, shape, end, (0, min(1, height - 1)), (0, min(1, width - 1)))
    last = _see(start, shape, end, (max(0, height - 2), height - 1), (max(0, width - 2), width - 1))
    rows, columns = (np.concatenate([first[k], last[k]]) for k in (0, 1))
    if not rows.any():
        return None
    return from_ends(rows, height), from_ends(columns, width)


def _pair(count: int, share: float) -> tuple[int, int]:
    """Two positions, as far from the ends as a share of all says, or next to each other in the middle."""
    first = int(share * (count - 1))
    return first, min(max(count - 1 - first, first + 1), count - 1)


def _see(
    start: GradientEdge, shape: torch.Size, end: GradientEdge, ys: tuple[int, int], xs: tuple[int, int]
) -> tuple[Bool[np.ndarray, "2 rows"], Bool[np.ndarray, "2 columns"]]:
    """The rows and columns of a layer that two positions of another one see, each in an image of its own."""
    seed = torch.zeros(shape, device=start.node._input_metadata[start.output_nr].device)
    for image, (y, x) in enumerate(zip(ys, xs, strict=True)):
        seed[image, :, y, x] = 1
    with errors_of_backward(), BackwardMode(_reach):
        (reached,) = torch.autograd.grad(start, [end], seed, retain_graph=True)
    pixels: np.ndarray = reached.amax(dim=1).gt(0).numpy(force=True)  # there is nothing below 0
    return np.asarray(pixels.any(axis=2)), np.asarray(pixels.any(axis=1))


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
