"""The stride fix: backward passes of strided operations in which no pixel is visited more often than its neighbours.

The transposed convolution with stride s, which is the backward pass of a strided convolution, visits some positions of
the input more often than others: it prints a pattern of period s, the grid artefact. Instead, for convolutions, average
pooling and slices with a step s:

- ``centred``: every gradient is repeated over a block of s x s positions, the pass continues with stride 1, and the
  result is cropped from offset p + (s - 1) // 2 of the padded input plane. Exact for every size, and not shifted.
- ``nearest``: the gradient is enlarged by nearest neighbour to the size that the operation would have with stride 1,
  H + 2p - d(k - 1), and the pass continues with stride 1 (the released code of Oramas et al., ICLR 2019, generalised to
  any layer).
- None: the transposed convolution with stride s, as everywhere else.

The **pool fix** sends gradients back through max pooling as if it had been average pooling, over the whole window and
not to the one position of the largest value, which leaves dots in a map; with the stride fix where there is one.

Here s is the stride, p the padding, d the dilation, k the kernel size and H the size of the input. The functions named
after operators take the stride fix and the arguments of the ATen operator.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

aten = torch.ops.aten
STRIDE_FIXES = ("centred", "nearest", None)


def convolution_backward(
    stride_fix: str,
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
    """``aten.convolution_backward`` of two-dimensional convolutions with a stride, fixed for the input.

    Args:
        stride_fix: ``"centred"`` or ``"nearest"``.
        gradient: With respect to the output, n x out x hs x ws.
        inputs: What was convolved.
        weight: The kernel, out x in / groups x kh x kw.
        bias_sizes: The shape of the bias, None where there is none.
        stride: One number, or one for each axis; so are padding and dilation.
        padding: Of the input.
        dilation: Of the kernel.
        transposed: Whether the convolution is a transposed one, which is not fixed.
        output_padding: Of a transposed one.
        groups: Of channels.
        mask: Whether a gradient is needed of the input, the kernel and the bias.

    Returns:
        The gradients of input, kernel and bias, None for those that are not needed; None where nothing is to be fixed.
    """
    if transposed or weight.ndim != 4 or max(stride) == 1 or not mask[0]:
        return None
    of_weight, of_bias = None, None
    if any(mask[1:]):  # a kernel that depends on the image
        shape = (stride, padding, dilation, transposed, output_padding, groups)
        _, of_weight, of_bias = aten.convolution_backward(
            gradient, inputs, weight, bias_sizes, *shape, [False, *mask[1:]]
        )
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    of_inputs = stride_fixed_backward(stride_fix, gradient, inputs.shape[2:], weight, stride, padding, dilation, groups)
    return of_inputs, of_weight, of_bias


def average_pool_backward(
    stride_fix: str,
    gradient: Tensor,
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Tensor | None:
    """``aten.avg_pool2d_backward`` of pooling with a stride: a convolution with a kernel of ones of each channel.

    Args:
        stride_fix: ``"centred"`` or ``"nearest"``.
        gradient: With respect to the output, n x c x hs x ws.
        inputs: What was pooled.
        kernel: One number, or one for each axis; so are stride and padding.
        stride: As large as the kernel where none is given.
        padding: Of the input.
        ceil_mode: Whether the last window may reach over the edge.
        count_include_pad: Whether padding counts in the mean.
        divisor: By what a window is divided instead of by its size.

    Returns:
        The gradient of the input, None where nothing is to be fixed.
    """
    kernel, stride, padding = pair(kernel), pair(stride or kernel), pair(padding)
    if max(stride) == 1:
        return None
    ones = torch.ones_like(inputs[:1, :1])
    mean = F.avg_pool2d(ones, kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    count = F.avg_pool2d(ones, kernel, stride, padding, ceil_mode, count_include_pad, 1)
    channels = inputs.shape[1]
    weight = ones.new_ones(channels, 1, *kernel)
    share = gradient * (mean / count)  # of a gradient that each value in the window gets
    return stride_fixed_backward(stride_fix, share, inputs.shape[2:], weight, stride, padding, [1, 1], channels)


def max_pool_backward(
    stride_fix: str | None,
    gradient: Tensor,
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor | None:
    """``aten.max_pool2d_with_indices_backward`` as that of average pooling over the same windows.

    Args:
        stride_fix: ``"centred"``, ``"nearest"`` or None.
        gradient: With respect to the output, n x c x hs x ws.
        inputs: What was pooled.
        kernel: One number, or one for each axis; so are stride, padding and dilation.
        stride: As large as the kernel where none is given.
        padding: Of the input.
        dilation: Of the window.
        ceil_mode: Whether the last window may reach over the edge.
        indices: Where the largest values are, which does not count here.

    Returns:
        The gradient of the input; None for a window with gaps, which stays as it is.
    """
    if max(dilation) > 1:
        return None
    arguments = (gradient, inputs, pair(kernel), pair(stride or kernel), pair(padding), ceil_mode, False, None)
    fixed = None if stride_fix is None else average_pool_backward(stride_fix, *arguments)
    plain: Tensor = aten.avg_pool2d_backward(*arguments) if fixed is None else fixed
    return plain


def slice_backward(
    stride_fix: str, gradient: Tensor, sizes: Sequence[int], dim: int, start: int, end: int, step: int
) -> Tensor | None:
    """``aten.slice_backward`` of slices of an image axis with a step: a convolution with a kernel of one.

    Args:
        stride_fix: ``"centred"`` or ``"nearest"``.
        gradient: With respect to the slice.
        sizes: The shape of what was sliced.
        dim: The axis, counted from either end.
        start: Where the slice begins.
        end: Where it ends, exclusive.
        step: Its step.

    Returns:
        The gradient of what was sliced, None where nothing is to be fixed.
    """
    dim %= len(sizes)
    if step == 1 or len(sizes) != 4 or dim < 2:
        return None
    axis = dim - 2
    extent = len(range(*slice(start, end).indices(sizes[dim])))
    stride = [step if i == axis else 1 for i in range(2)]
    weight = gradient.new_ones(sizes[1], 1, 1, 1)
    sliced = [extent if i == axis else sizes[i + 2] for i in range(2)]
    inner = stride_fixed_backward(stride_fix, gradient, sliced, weight, stride, [0, 0], [1, 1], sizes[1])
    outer: Tensor = aten.slice_backward(inner, sizes, dim, start, end, 1)
    return outer


def pair(values: Sequence[int]) -> list[int]:
    """One number for each image axis, where one for both may be given."""
    return list(values) * (1 if len(values) == 2 else 2)


def stride_fixed_backward(
    stride_fix: str,
    gradient: Float[Tensor, "n out hs ws"],
    size: Sequence[int],
    weight: Float[Tensor, "out each kh kw"],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Float[Tensor, "n channels h w"]:
    """The stride-fixed gradient of a convolution with respect to its input of ``size`` (h, w)."""
    if stride_fix == "nearest":
        return _nearest_backward(gradient, size, weight, padding, dilation, groups)
    # repeating each gradient over a block and going back with stride 1 is the stride-s pass through a wider kernel
    wide = _box_filtered(weight, stride, dilation)
    offset = [p + (s - 1) // 2 for p, s in zip(padding, stride, strict=True)]
    if groups == 1 and len(set(stride)) == 1 and weight.shape[1] * stride[0] ** 2 < weight.shape[0]:
        return _crop_or_pad(_pixel_shuffle_form(gradient, wide, stride[0]), offset, size)
    cropped = [
        (n - 1) * s - 2 * o + k for n, s, o, k in zip(gradient.shape[2:], stride, offset, wide.shape[2:], strict=True)
    ]
    missing = [h - length for h, length in zip(size, cropped, strict=True)]
    if min(cropped) > 0 and all(m < s for m, s in zip(missing, stride, strict=True)):  # cropped and padded in one step
        more = [max(0, m) for m in missing]
        return F.conv_transpose2d(gradient, wide, None, list(stride), offset, more, groups)[:, :, : size[0], : size[1]]
    return _crop_or_pad(F.conv_transpose2d(gradient, wide, None, list(stride), 0, 0, groups), offset, size)


def _nearest_backward(
    gradient: Tensor,
    size: Sequence[int],
    weight: Tensor,
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The gradient enlarged to what stride 1 would have given, then the ordinary backward pass with stride 1."""
    full = [h + 2 * p - d * (k - 1) for h, p, d, k in zip(size, padding, dilation, weight.shape[2:], strict=True)]
    full = [max(1, n) for n in full]  # pooling with ceil_mode: the only window may reach over the edge
    enlarged = F.interpolate(gradient, size=full, mode="nearest")
    plane = F.conv_transpose2d(enlarged, weight, None, 1, list(padding), 0, groups, list(dilation))
    return plane[:, :, : size[0], : size[1]]


def _pixel_shuffle_form(gradient: Tensor, wide: Tensor, stride: int) -> Tensor:
    """A transposed convolution of stride s as one ordinary convolution that gives all s x s phases of its result.

    The same numbers; where few channels come out, as in front of the image, several times faster.
    """
    out, each, *kernel = wide.shape
    height, width = (-(-k // stride) for k in kernel)
    wide = F.pad(wide, (0, width * stride - kernel[1], 0, height * stride - kernel[0]))
    phases = wide.reshape(out, each, height, stride, width, stride).permute(1, 3, 5, 0, 2, 4).flip(4, 5)
    phases = phases.reshape(each * stride**2, out, height, width)
    return F.pixel_shuffle(F.conv2d(gradient, phases, None, 1, (height - 1, width - 1)), stride)


def _crop_or_pad(plane: Tensor, offset: Sequence[int], size: Sequence[int]) -> Tensor:
    """The part of a plane from an offset on, zeros where the plane ends too early."""
    missing = [max(0, o + h - length) for o, h, length in zip(offset, size, plane.shape[2:], strict=True)]
    plane = F.pad(plane, (0, missing[1], 0, missing[0]))
    return plane[:, :, offset[0] : offset[0] + size[0], offset[1] : offset[1] + size[1]]


def _box_filtered(weight: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The dilated kernel convolved with an s x s box of ones: d (k - 1) + s wide."""
    out, each, *kernel = weight.shape
    height, width = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    wide = weight.new_zeros(out, each, height + stride[0] - 1, width + stride[1] - 1)
    for i in range(stride[0]):
        for j in range(stride[1]):
            wide[:, :, i : i + height : dilation[0], j : j + width : dilation[1]] += weight
    return wide
