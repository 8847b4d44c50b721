"""The backward rules: how the activation of a feature is led back to the pixels.

A rule acts on the backward pass, in a ``TorchDispatchMode`` around ``torch.autograd.grad``: there every ReLU is the
same operator, be it a module, functional, in-place, reused or traced, and so is every convolution. One forward graph
serves every rule and every feature.

Rules for activation functions y(x) (g the incoming gradient):

- ``gradient``: y'(x) g
- ``deconvnet``: g where g > 0 (Zeiler and Fergus 2014)
- ``guided``: y'(x) g where x > 0 and g > 0 (Springenberg et al. 2015)

Stride fixes, for convolutions, average pooling and slices with a step s, so that no position of the input is visited
more often than its neighbours (the grid artefact of strided convolutions):

- ``centred``: every gradient is held for a block of s x s positions, the pass goes on with stride 1, and the result is
  cropped from offset p + (s - 1) // 2 of the padded input plane. Exact for every size; not shifted.
- ``nearest``: the gradient is enlarged by nearest neighbour to the size that the operation would have with stride 1,
  H + 2p - d(k - 1), and the pass goes on with stride 1 (the released code of Oramas et al., ICLR 2019, for any layer).
- None: the transposed convolution with stride s, as everywhere else.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.utils._python_dispatch import TorchDispatchMode

from vebi.backprop.stride_fix import STRIDE_FIXES, _average_pool, _convolution, _slice
from vebi.errors import ModelError, UsageError

RULES = ("gradient", "deconvnet", "guided")

aten = torch.ops.aten
#: Backward operators of activation functions -> place of the argument that is positive where the input is.
ACTIVATION_BACKWARD = {
    aten.threshold_backward: 1,
    aten.hardtanh_backward: 1,
    aten.leaky_relu_backward: 1,
    aten._prelu_kernel_backward: 1,
    aten.silu_backward: 1,
    aten.gelu_backward: 1,
    aten.hardswish_backward: 1,
    aten.mish_backward: 1,
    aten.tanh_backward: 1,
    aten.elu_backward: 5,
}


def pull_back(
    starts: Sequence[GradientEdge],
    seeds: Sequence[Float[Tensor, "n ..."]],
    inputs: Float[Tensor, "n c h w"],
    *,
    rule: str = "guided",
    stride_fix: str | None = "centred",
) -> Float[Tensor, "n c h w"]:
    """The seeds led back from where they start in the graph to the inputs, under a rule; the graph is kept.

    ``starts`` and ``seeds`` go in pairs, a seed as large as the activation it starts from. Raises UsageError for a rule
    or stride fix that does not exist, ModelError where no gradient leads from the starts to the inputs, or where it
    leads through formulas of TorchScript's own.
    """
    check_rule(rule, stride_fix)
    _check_graph(starts)
    with _Rules(rule, stride_fix):
        (gradient,) = torch.autograd.grad(starts, inputs, seeds, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ModelError("no gradient leads from the chosen layers to the picture: tap layers that depend on it")
    return gradient


def check_rule(rule: str, stride_fix: str | None) -> None:
    """Raises UsageError for a rule or stride fix that does not exist."""
    if rule not in RULES:
        raise UsageError(f"the backward rule is {rule!r}: choose one of {', '.join(RULES)}")
    if stride_fix not in STRIDE_FIXES:
        raise UsageError(f"the stride fix is {stride_fix!r}: choose one of centred, nearest or None")


def _check_graph(starts: Sequence[GradientEdge]) -> None:
    """Raises ModelError where TorchScript has compiled a part of the backward pass: there a ReLU is a product."""
    waiting, seen = [start.node for start in starts], set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if "DifferentiableGraph" in node.name():
            raise ModelError(
                "TorchScript has compiled the network with backward formulas of its own, which no rule can tell apart: "
                "give the module that was traced, not its trace"
            )
        waiting += [before for before, _ in node.next_functions if before is not None]


def passing(packet, gradient: Tensor) -> Tensor | tuple[Tensor, None]:
    """What the backward operator ``packet`` of an activation function returns to pass ``gradient`` on to its input."""
    return (gradient, None) if packet is aten._prelu_kernel_backward else gradient


class _Rules(TorchDispatchMode):
    """Replaces the backward operators that a rule changes, and leaves all others alone."""

    def __init__(self, rule: str, stride_fix: str | None):
        super().__init__()
        self.rule = rule
        self.stride_fix = stride_fix

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = operator.overloadpacket
        if packet in ACTIVATION_BACKWARD and self.rule != "gradient":
            if self.rule == "deconvnet":
                return passing(packet, args[0].clamp(min=0))
            if packet is aten.threshold_backward and args[2] >= 0:
                return operator(*args).clamp_(min=0)  # the largest maps are here: one pass over them, and one in place
            open_ = (args[0] > 0) & (args[ACTIVATION_BACKWARD[packet]] > 0)
            return operator(torch.where(open_, args[0], 0), *args[1:], **kwargs)
        if self.stride_fix is not None:
            if packet is aten.convolution_backward:
                fixed = _convolution(self.stride_fix, *args)
            elif packet is aten.avg_pool2d_backward:
                fixed = _average_pool(self.stride_fix, *args)
            elif packet is aten.slice_backward:
                fixed = _slice(self.stride_fix, *args)
            else:
                fixed = None
            if fixed is not None:
                return fixed
        return operator(*args, **kwargs)


# --- the stride fix: each function returns None where there is nothing to fix --------------------------------------
