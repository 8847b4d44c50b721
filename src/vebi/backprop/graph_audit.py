"""What a backprop rule covers: the non-linearities between the features and the image, and how each is treated.

A rule knows activation functions by their backward operators (see ``vebi.backprop.rules``). Others, such as a ``clamp``
or a product of two activations, are passed by their plain derivative: more than that the rule does not promise there.
The audit follows the autograd graph, so it sees what ran, however that was spelled.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from vebi.activations.layers import leading_layers
from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.rules import check_rule
from vebi.errors import ModelError
from vebi.models.classifier import Classifier

#: Nodes of the autograd graph that a rule acts on.
RULED = frozenset([
    "Relu", "Threshold", "Hardtanh", "LeakyRelu", "PreluKernel", "Silu", "Gelu", "Hardswish", "Mish", "Tanh", "Elu",
    "Celu",
])  # fmt: skip
#: Nodes that hand the gradient to the values that were chosen, under every rule.
ROUTED = frozenset([
    "MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "Max", "Min", "Amax", "Amin", "Sort", "Topk",
    "Kthvalue",
])  # fmt: skip
#: The one of these that the pool fix passes as average pooling.
_MAX_POOL = "MaxPool2DWithIndices"
#: Nodes that are linear in the one input that depends on the image.
LINEAR = frozenset([
    "Convolution", "MkldnnConvolution", "CudnnConvolution", "NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm",
    "NativeDropout", "Add", "Sub", "Rsub", "Neg", "Mean", "Sum", "Cumsum", "View", "UnsafeView", "Reshape",
    "ReshapeAlias", "Permute", "Transpose", "T", "Expand", "Slice", "Select", "Index", "IndexSelect", "Gather", "Cat",
    "Stack", "Split", "SplitWithSizes", "UnsafeSplit", "Unbind", "Clone", "Copy", "CopySlices", "AsStrided", "Alias",
    "ToCopy", "Squeeze", "Unsqueeze", "Unfold", "Im2Col", "Col2Im", "Repeat", "Roll", "Flip", "Rot90", "Diagonal",
    "Zero", "ConstantPadNd", "ReflectionPad2D", "ReplicationPad2D", "UpsampleNearest2D", "UpsampleNearestExact2D",
    "UpsampleBilinear2D", "UpsampleBicubic2D", "AvgPool2D", "AdaptiveAvgPool2D", "AvgPool3D", "PixelShuffle",
    "PixelUnshuffle",
])  # fmt: skip
#: Nodes that are linear unless more than one of their inputs depends on the image.
PRODUCTS = frozenset([
    "Mul", "Div", "Mm", "Bmm", "Mv", "Dot", "Linear", "MkldnnLinear", "Addmm", "Addbmm", "Baddbmm", "Addmv", "Addcmul",
    "Lerp", "GridSampler2D",
])  # fmt: skip


@dataclass(frozen=True, order=True)
class Finding:
    """An operation of a module between the features and the image, and how the backprop rule treats it.

    Attributes:
        module: Name of the innermost module that runs it; ``""`` is the network itself.
        operation: Name of the operation, as ``"relu"`` or ``"clamp"``.
        treatment: ``"rule"`` (under the backprop rule), ``"routed"`` (to the values that were chosen, as in max
            pooling), ``"averaged"`` (max pooling under the pool fix) or ``"plain"`` (by its ordinary derivative).
        covered: False for a non-linearity that the rule leaves to its ordinary derivative; the rule ``"gradient"``
            covers all.
        count: How many times the module runs it, at least 1.

    Example:
        >>> print(vebi.Finding("layer1", "clamp", "plain", covered=False, count=2))
        clamp in layer1, 2 times
    """

    module: str
    operation: str
    treatment: str
    covered: bool
    count: int

    def __str__(self) -> str:
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self.operation} in {self.module or 'the network itself'}{times}"


def audit_backward(
    classifier: Classifier, *, layers: str | Sequence[str] | None = None, rule: str = "guided"
) -> tuple[Finding, ...]:
    """Lists the non-linearities between layers and the image, and whether a backprop rule covers them.

    They are seen on one forward pass. The same as `vebi audit`.

    Args:
        classifier: The network.
        layers: A name or glob of layers, or several; by default every activation function, see ``list_layers``.
        rule: Backprop rule: ``"guided"``, ``"deconvnet"`` or ``"gradient"``, see ``explain``.

    Returns:
        One finding for each kind of operation in each module, what is not covered first.

    Raises:
        UsageError: A rule that does not exist, or a name that matches no layer.
        ModelError: No gradient leads from one of the layers to the image.

    Example:
        >>> for finding in vebi.audit_backward(classifier):
        ...     print(finding, finding.treatment, finding.covered)
        max_pool2d_with_indices in the network itself routed True
        relu in the network itself rule True
        relu in relu1 rule True
    """
    check_rule(rule, None)
    names = [layer.name for layer in leading_layers(classifier, layers)]
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.zero_input().requires_grad_()
        with ActivationRecorder(classifier.model, names, lambda *_: None) as recorder:
            classifier.logits(inputs.clone())
        return audit_graph(recorder.gradient_edges.values(), inputs, recorder.node_modules, rule)


def audit_graph(
    starts: Iterable[GradientEdge],
    inputs: Tensor,
    node_modules: Mapping[Node, str],
    rule: str = "guided",
    pool_fix: bool = False,
) -> tuple[Finding, ...]:
    """Lists the non-linearities between edges of a graph and its inputs.

    Args:
        starts: Where the backward pass begins.
        inputs: The leaf of the graph at which it ends.
        node_modules: Node -> name of the innermost module that created it.
        rule: Backprop rule.
        pool_fix: Whether max pooling is passed as average pooling is.

    Returns:
        See ``audit_backward``.

    Raises:
        ModelError: No gradient leads from a start to the inputs.
    """
    nodes = [edge.node for edge in starts]
    dependent = _dependent_inputs(nodes, inputs)
    if not all(dependent[node] for node in nodes):
        raise ModelError("no gradient leads from some of the layers to the image: name other layers")
    counts: Counter[tuple[bool, str, str, str]] = Counter()
    for node, count in dependent.items():
        operation = re.sub(r"Backward\d*$", "", node.name())
        treatment = _treatment(node, operation, count)
        if pool_fix and operation == _MAX_POOL:
            treatment = "averaged"
        if count and treatment:
            covered = treatment != "plain" or rule == "gradient"
            counts[covered, node_modules.get(node, ""), _snake(operation), treatment] += 1
    return tuple(
        Finding(module, operation, treatment, covered, n)
        for (covered, module, operation, treatment), n in sorted(counts.items())
    )


def _dependent_inputs(starts: Iterable[Node], inputs: Tensor) -> dict[Node, int]:
    """Every node from the starts on -> how many of its inputs depend on the image."""
    dependent: dict[Node, int] = {}
    pending = list(starts)
    while pending:  # a node is counted when all that follow it are
        node = pending[-1]
        following = [n for n, _ in node.next_functions if n is not None]
        uncounted = [n for n in following if n not in dependent]
        if node in dependent or not uncounted:
            pending.pop()
            is_image = getattr(node, "variable", None) is inputs
            dependent.setdefault(node, int(is_image) or sum(dependent[n] > 0 for n in following))
        else:
            pending += uncounted
    return dependent


def _treatment(node: Node, operation: str, dependent: int) -> str | None:
    """How a node is treated, None where it is linear or the image itself."""
    if hasattr(node, "variable"):
        return None
    if operation in RULED:
        return "rule"
    if operation in ROUTED:
        return "routed"
    if operation in LINEAR and not getattr(node, "_saved_training", False):  # statistics of the image are not linear
        return None
    if operation in PRODUCTS and dependent < 2 and not _divides(node, operation):
        return None
    return "plain"


def _divides(node: Node, operation: str) -> bool:
    """Whether the image is in the denominator."""
    return operation == "Div" and len(node.next_functions) > 1 and node.next_functions[-1][0] is not None


def _snake(operation: str) -> str:
    """``MaxPool2D`` -> ``max_pool2d``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"(\d)D", r"\1d", operation)).lower()
