"""Backprop rules: what an activation function passes on of a gradient on its way back to the pixels.

A rule acts on the backward pass, where every ReLU is the same operator, be it a module, functional, in place, reused or
traced, and so is every convolution (see ``vebi.backprop.dispatch``). One forward graph serves every rule and every
feature.

For an activation function y(x), with g the gradient that comes in from its output:

- ``gradient``: y'(x) g
- ``deconvnet``: g where g > 0 (Zeiler and Fergus 2014)
- ``guided``: y'(x) g where x > 0 and g > 0 (Springenberg et al. 2015)

The same pass applies the stride fix to operations with a stride (see ``vebi.backprop.stride_fix``). All other operators
run as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from vebi.backprop.dispatch import BackwardMode, Operator
from vebi.backprop.stride_fix import (
    STRIDE_FIXES,
    average_pool_backward,
    convolution_backward,
    max_pool_backward,
    slice_backward,
)
from vebi.errors import ModelError, UsageError
from vebi.models.evaluation import widen
from vebi.models.model_errors import errors_of_backward

RULES = ("gradient", "deconvnet", "guided")

aten = torch.ops.aten
#: Backward operator of an activation function -> index of its argument that is positive where the input is.
ACTIVATION_BACKWARD: dict[object, int] = {
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
#: Backward operator of an operation with a stride -> its stride-fixed form, which gives None where nothing changes.
_STRIDED_BACKWARD: dict[object, Callable[..., object]] = {
    aten.convolution_backward: convolution_backward,
    aten.avg_pool2d_backward: average_pool_backward,
    aten.slice_backward: slice_backward,
}


def rule_backward(
    starts: Sequence[GradientEdge],
    seeds: Sequence[Float[Tensor, "n ..."]],
    inputs: Float[Tensor, "n c h w"],
    *,
    rule: str = "guided",
    stride_fix: str | None = "centred",
    pool_fix: bool = False,
) -> Float[Tensor, "n c h w"]:
    """Backpropagates seeds to the inputs under a rule; the graph is kept.

    Args:
        starts: Edges of the graph at which the backward pass starts.
        seeds: For each start the gradient that goes in there, as large as the activation.
        inputs: The leaf of the graph that the gradient is taken with respect to.
        rule: ``"gradient"``, ``"deconvnet"`` or ``"guided"``.
        stride_fix: ``"centred"``, ``"nearest"`` or None.
        pool_fix: Whether max pooling is passed as average pooling is.

    Returns:
        The gradient of the inputs, n x c x h x w, summed over the starts.

    Raises:
        UsageError: A rule or stride fix that does not exist.
        ModelError: No gradient leads from the starts to the inputs, or it leads through backward formulas of
            TorchScript's own.
    """
    (gradient,) = rule_gradients(
        starts, seeds, [get_gradient_edge(inputs)], rule=rule, stride_fix=stride_fix, pool_fix=pool_fix
    )
    return require_gradient(gradient)


def require_gradient(gradient: Tensor | None) -> Tensor:
    """A gradient at the image; raises ModelError where none leads there."""
    if gradient is None:
        raise ModelError("no gradient leads from the chosen layers to the image: choose layers that depend on it")
    return gradient


def rule_gradients(
    starts: Sequence[GradientEdge],
    seeds: Sequence[Float[Tensor, "n ..."]],
    ends: Sequence[GradientEdge],
    *,
    rule: str,
    stride_fix: str | None,
    pool_fix: bool,
) -> list[Tensor | None]:
    """Backpropagates seeds under a rule to several places at once; the graph is kept.

    Args:
        starts: Edges of the graph at which the backward pass starts.
        seeds: For each start the gradient that goes in there, as large as the activation.
        ends: Edges of the graph that gradients are taken with respect to.
        rule: See ``rule_backward``; so are the two fixes.
        stride_fix: Stride fix or None.
        pool_fix: Whether max pooling is passed as average pooling is.

    Returns:
        The gradient at each end, None where none leads there.

    Raises:
        UsageError: A rule or stride fix that does not exist.
        ModelError: A gradient leads through backward formulas of TorchScript's own, or the backward pass fails.
    """
    check_rule(rule, stride_fix)
    _check_graph(starts)
    sizes = _sizes_in_half(starts, seeds)
    if sizes is not None:
        seeds = [_enlarge(widen(seed), 1 / sizes) for seed in seeds]
    with errors_of_backward(), BackwardMode(_RuleReplacement(rule, stride_fix, pool_fix)):
        gradients = torch.autograd.grad(starts, ends, seeds, retain_graph=True, allow_unused=True)
    return [None if gradient is None else _enlarge(widen(gradient), sizes) for gradient in gradients]


def _sizes_in_half(starts: Sequence[GradientEdge], seeds: Sequence[Tensor]) -> Tensor | None:
    """How large the seeds of each image are where they go into float16, in which a pass of large ones overflows.

    Every rule is linear in the size of a seed, so that the pass can be made of seeds of size 1.
    """
    if all(start.node._input_metadata[start.output_nr].dtype != torch.float16 for start in starts):
        return None
    sizes = torch.stack([widen(seed).abs().flatten(1).amax(dim=1) for seed in seeds]).amax(dim=0)
    return torch.where(sizes > 0, sizes, 1)


def _enlarge(values: Float[Tensor, "n ..."], sizes: Float[Tensor, " n"] | None) -> Float[Tensor, "n ..."]:
    return values if sizes is None else values * sizes.reshape(-1, *[1] * (values.ndim - 1))


def check_rule(rule: str, stride_fix: str | None) -> None:
    """Refuses a rule or a stride fix that does not exist.

    Args:
        rule: One of ``RULES``, or not.
        stride_fix: One of ``STRIDE_FIXES``, or not.

    Raises:
        UsageError: It is not.
    """
    if rule not in RULES:
        raise UsageError(f"the backprop rule is {rule!r}: choose one of {', '.join(RULES)}")
    if stride_fix not in STRIDE_FIXES:
        raise UsageError(f"the stride fix is {stride_fix!r}: choose one of centred, nearest or None")


def pass_through(packet: object, gradient: Tensor) -> Tensor | tuple[Tensor, None]:
    """The result of an activation function's backward operator that hands a gradient on as it is.

    Args:
        packet: The operator, a key of ``ACTIVATION_BACKWARD``.
        gradient: What goes to the function's input.

    Returns:
        The gradient, with None for the slope where the operator returns a gradient of that, too.
    """
    return (gradient, None) if packet is aten._prelu_kernel_backward else gradient


def _check_graph(starts: Sequence[GradientEdge]) -> None:
    """Raises ModelError where TorchScript has compiled a part of the backward pass: there a ReLU is a product."""
    pending: list[Node] = [start.node for start in starts]
    visited: set[Node] = set()
    while pending:
        node = pending.pop()
        if node in visited:
            continue
        visited.add(node)
        if "DifferentiableGraph" in node.name():
            raise ModelError(
                "TorchScript has compiled the network with backward formulas of its own, which no rule can tell apart: "
                "give the module that was traced, not its trace"
            )
        pending += [following for following, _ in node.next_functions if following is not None]


@dataclass(frozen=True)
class _RuleReplacement:
    """Replaces the backward operators that a rule or a stride fix changes, and runs all others."""

    rule: str
    stride_fix: str | None
    pool_fix: bool

    def __call__(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
        packet = operator.overloadpacket
        if packet in ACTIVATION_BACKWARD and self.rule != "gradient":
            return self._activation_backward(operator, args, kwargs)
        if packet in _STRIDED_BACKWARD and self.stride_fix is not None:
            fixed = _STRIDED_BACKWARD[packet](self.stride_fix, *args)
            if fixed is not None:
                return fixed
        if packet is aten.max_pool2d_with_indices_backward and self.pool_fix:
            pooled = max_pool_backward(self.stride_fix, *args)
            if pooled is not None:
                return pooled
        return operator(*args, **kwargs)

    def _activation_backward(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
        """The rules ``deconvnet`` and ``guided``; the first argument is the gradient that comes in."""
        packet = operator.overloadpacket
        if self.rule == "deconvnet":
            return pass_through(packet, args[0].clamp(min=0))
        if packet is aten.threshold_backward and args[2] >= 0:
            return operator(*args).clamp_(min=0)  # the largest maps are here: one pass over them, and one in place
        positive = (args[0] > 0) & (args[ACTIVATION_BACKWARD[packet]] > 0)
        return operator(torch.where(positive, args[0], 0), *args[1:], **kwargs)
