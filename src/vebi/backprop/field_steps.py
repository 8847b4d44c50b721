"""What the positions of an operator's output see of its inputs, read from what the autograd graph holds of it.

Known are convolution, pooling and what works position by position, which is nearly all of a convolutional network. What
any other operator sees has to be measured, see ``vebi.backprop.receptive_field``.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from torch.autograd.graph import Node

from vebi.backprop.field_axis import Axis
from vebi.backprop.stride_fix import pair

#: What positions see, vertically and horizontally.
Step = tuple[Axis, Axis]


class Place(NamedTuple):
    """An output of a node of the autograd graph."""

    node: Node
    output: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return tuple(self.node._input_metadata[self.output].shape)


_CONVOLUTION, _CONCATENATION = "ConvolutionBackward0", "CatBackward0"
_POOLS = ("MaxPool2DWithIndicesBackward0", "AvgPool2DBackward0")
#: To one position.
_MEANS = ("MeanBackward1", "AdaptiveAvgPool2DBackward0", "AdaptiveMaxPool2DBackward0")
#: How many positions of the smaller map are seen along each axis.
_INTERPOLATIONS = {
    "UpsampleNearest2DBackward0": 1,
    "UpsampleNearestExact2DBackward0": 1,
    "UpsampleBilinear2DBackward0": 2,
    "UpsampleBicubic2DBackward0": 4,
}
#: Position by position, of the first input alone.
_NORMS = ("NativeBatchNormBackward0", "CudnnBatchNormBackward0", "NativeGroupNormBackward0", "PreluKernelBackward0")
#: Position by position.
_POINTWISE = (
    *("AddBackward0", "SubBackward0", "MulBackward0", "DivBackward0", "NegBackward0", "CloneBackward0"),
    *("AddBackward1", "SubBackward1", "MulBackward1", "DivBackward1", "ToCopyBackward0", "MaximumBackward0"),
    *("ReluBackward0", "ThresholdBackward0", "HardtanhBackward0", "LeakyReluBackward0", "EluBackward0"),
    *("SiluBackward0", "GeluBackward0", "HardswishBackward0", "MishBackward0", "TanhBackward0", "SigmoidBackward0"),
    *("HardsigmoidBackward0", "SoftplusBackward0", "ExpBackward0", "ClampBackward1", "ClampMinBackward0"),
    *("WhereBackward0", "MaskedFillBackward0", "MaskedFillBackward1"),
)


def read_steps(place: Place, leading: Collection[Node]) -> list[tuple[Place, Step]] | None:
    """What the positions of an output see of each input of its operator.

    Args:
        place: The output.
        leading: The nodes that lead to the image; other inputs do not count.

    Returns:
        The inputs, with what is seen of them; None where that cannot be read: of another operator, or of what is no map
        of N x C x H x W.
    """
    node, name = place.node, place.node.name()
    inputs = {
        k: Place(one, nr) for k, (one, nr) in enumerate(node.next_functions) if one is not None and one in leading
    }
    first_alone = name in (_CONVOLUTION, *_NORMS)
    if len(place.shape) != 4 or (first_alone and set(inputs) != {0}):  # such as a kernel that the image makes
        return None
    steps = [(one, _step(node, name, place.shape, one.shape)) for one in inputs.values()]
    known = [(one, step) for one, step in steps if step is not None]
    return known if len(known) == len(steps) else None


def _step(node: Any, name: str, shape: Sequence[int], input_shape: Sequence[int]) -> Step | None:
    """What is seen of an input."""
    if len(input_shape) != 4:
        return None
    if name == _CONVOLUTION:
        if node._saved_transposed:
            return None
        kernel = node._saved_weight.shape[2:]
        return _window(kernel, node._saved_stride, node._saved_padding, node._saved_dilation)
    if name in _POOLS:
        kernel = node._saved_kernel_size
        dilation = getattr(node, "_saved_dilation", (1, 1))
        return _window(kernel, node._saved_stride or kernel, node._saved_padding, dilation)
    if name in _MEANS:
        return _all_of(input_shape) if tuple(shape[2:]) == (1, 1) else None
    if name in _INTERPOLATIONS:
        y, x = (
            _interpolate(*sizes, _INTERPOLATIONS[name], getattr(node, "_saved_align_corners", False))
            for sizes in zip(shape[2:], input_shape[2:], strict=True)
        )
        return y, x
    if name in (*_NORMS, *_POINTWISE) or (name == _CONCATENATION and node._saved_dim == 1):
        return _same_position(shape, input_shape)
    return None


def _window(kernel: Any, stride: Any, padding: Any, dilation: Any) -> Step:
    y, x = (
        Axis(-p, s, d * (k - 1) + 1) for k, s, p, d in zip(*map(pair, (kernel, stride, padding, dilation)), strict=True)
    )
    return y, x


def _all_of(input_shape: Sequence[int]) -> Step:
    return Axis(0, 0, input_shape[2]), Axis(0, 0, input_shape[3])


def _interpolate(count: int, input_count: int, size: int, align_corners: bool) -> Axis:
    """The positions of the smaller map around the one that is looked for."""
    if align_corners and count > 1:
        return Axis((1 - size) / 2, (input_count - 1) / (count - 1), size)
    return Axis((input_count / count - size) / 2, input_count / count, size)


def _same_position(shape: Sequence[int], input_shape: Sequence[int]) -> Step | None:
    """The same position, or the only one."""
    if any(size not in (1, other) for size, other in zip(input_shape[2:], shape[2:], strict=True)):
        return None
    y, x = (Axis(0, int(size == other), 1) for size, other in zip(input_shape[2:], shape[2:], strict=True))
    return y, x
