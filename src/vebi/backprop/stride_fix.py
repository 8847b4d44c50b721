"""The stride fix: backward passes of strided operations that visit every position alike."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

aten = torch.ops.aten
STRIDE_FIXES = ("centred", "nearest", None)


def _convolution(
    fix, gradient, inputs, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, mask
):
    if transposed or weight.ndim != 4 or max(stride) == 1 or not mask[0]:
        return None
    others = (None, None)
    if any(mask[1:]):  # a kernel that depends on the picture
        shape = (stride, padding, dilation, transposed, output_padding, groups)
        _, *others = aten.convolution_backward(gradient, inputs, weight, bias_sizes, *shape, [False, *mask[1:]])
    stride, padding, dilation = (list(v) * (1 if len(v) == 2 else 2) for v in (stride, padding, dilation))
    return spread(fix, gradient, inputs.shape[2:], weight, stride, padding, dilation, groups), *others


def _average_pool(fix, gradient, inputs, kernel, stride=(), padding=(0, 0), ceil=False, include_pad=True, divisor=None):
    kernel, stride, padding = (list(v) * (1 if len(v) == 2 else 2) for v in (kernel, stride or kernel, padding))
    if max(stride) == 1:
        return None
    ones = torch.ones_like(inputs[:1, :1])
    mean = F.avg_pool2d(ones, kernel, stride, padding, ceil, include_pad, divisor)
    count = F.avg_pool2d(ones, kernel, stride, padding, ceil, include_pad, 1)
    channels = inputs.shape[1]
    weight = ones.new_ones(channels, 1, *kernel)
    return spread(fix, gradient * (mean / count), inputs.shape[2:], weight, stride, padding, [1, 1], channels)


def _slice(fix, gradient, sizes, dim, start, end, step):
    dim %= len(sizes)
    if step == 1 or len(sizes) != 4 or dim < 2:
        return None
    axis = dim - 2
    extent = len(range(*slice(start, end).indices(sizes[dim])))
    stride = [step if i == axis else 1 for i in range(2)]
    weight = gradient.new_ones(sizes[1], 1, 1, 1)
    sliced = [extent if i == axis else sizes[i + 2] for i in range(2)]
    inner = spread(fix, gradient, sliced, weight, stride, [0, 0], [1, 1], sizes[1])
    return aten.slice_backward(inner, sizes, dim, start, end, 1)


def spread(
    fix: str,
    gradient: Float[Tensor, "n out hs ws"],
    size: Sequence[int],
    weight: Float[Tensor, "out each kh kw"],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Float[Tensor, "n channels h w"]:
    """The stride-fixed gradient of a convolution with respect to its input of ``size`` (h, w)."""
    if fix == "nearest":
        # enlarge to what stride 1 would have given, then the ordinary backward pass with stride 1
        full = [h + 2 * p - d * (k - 1) for h, p, d, k in zip(size, padding, dilation, weight.shape[2:], strict=True)]
        full = [max(1, n) for n in full]  # pooling with ceil_mode: the only window may reach over the edge
        enlarged = F.interpolate(gradient, size=full, mode="nearest")
        plane = F.conv_transpose2d(enlarged, weight, None, 1, list(padding), 0, groups, list(dilation))
        return plane[:, :, : size[0], : size[1]]
    # holding each gradient for a block and going back with stride 1 is the stride-s pass through a wider kernel
    wide = _boxed(weight, stride, dilation)
    offset = [p + (s - 1) // 2 for p, s in zip(padding, stride, strict=True)]
    if groups == 1 and len(set(stride)) == 1 and weight.shape[1] * stride[0] ** 2 < weight.shape[0]:
        return _window(_by_phases(gradient, wide, stride[0]), offset, size)
    cut = [
        (n - 1) * s - 2 * o + k for n, s, o, k in zip(gradient.shape[2:], stride, offset, wide.shape[2:], strict=True)
    ]
    missing = [h - have for h, have in zip(size, cut, strict=True)]
    if min(cut) > 0 and all(m < s for m, s in zip(missing, stride, strict=True)):  # all of it in one step
        more = [max(0, m) for m in missing]
        return F.conv_transpose2d(gradient, wide, None, list(stride), offset, more, groups)[:, :, : size[0], : size[1]]
    return _window(F.conv_transpose2d(gradient, wide, None, list(stride), 0, 0, groups), offset, size)


def _by_phases(gradient: Tensor, wide: Tensor, stride: int) -> Tensor:
    """A transposed convolution of stride s as one ordinary convolution that gives all s x s phases of its result.

    The same numbers; where few channels come out, as in front of the picture, several times faster.
    """
    out, each, *kernel = wide.shape
    height, width = (-(-k // stride) for k in kernel)
    wide = F.pad(wide, (0, width * stride - kernel[1], 0, height * stride - kernel[0]))
    phases = wide.reshape(out, each, height, stride, width, stride).permute(1, 3, 5, 0, 2, 4).flip(4, 5)
    phases = phases.reshape(each * stride**2, out, height, width)
    return F.pixel_shuffle(F.conv2d(gradient, phases, None, 1, (height - 1, width - 1)), stride)


def _window(plane: Tensor, offset: Sequence[int], size: Sequence[int]) -> Tensor:
    """The part of a plane from an offset on, zeros where it ends too early."""
    missing = [max(0, o + h - have) for o, h, have in zip(offset, size, plane.shape[2:], strict=True)]
    plane = F.pad(plane, (0, missing[1], 0, missing[0]))
    return plane[:, :, offset[0] : offset[0] + size[0], offset[1] : offset[1] + size[1]]


def _boxed(weight: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The dilated kernel convolved with an s x s box of ones: d (k - 1) + s wide."""
    out, each, *kernel = weight.shape
    height, width = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    wide = weight.new_zeros(out, each, height + stride[0] - 1, width + stride[1] - 1)
    for i in range(stride[0]):
        for j in range(stride[1]):
            wide[:, :, i : i + height : dilation[0], j : j + width : dilation[1]] += weight
    return wide
