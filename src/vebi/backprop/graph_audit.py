"""What a backward rule covers: the non-linearities on the way from the features to the picture, and their treatment.

A rule knows activation functions by their backward operators (see ``backward``). Others, such as a ``clamp`` or a
product of two activations, are led back by their plain derivative: more than that the rule does not promise there.
The walk follows the autograd graph, so it sees what ran and how it was spelled does not matter.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from vebi.activations.layers import Layer
from vebi.activations.recorder import Recorder
from vebi.errors import ModelError
from vebi.models.classifier import Classifier, evaluating

#: Nodes of the autograd graph that a rule acts on.
RULED = frozenset("Relu Threshold Hardtanh LeakyRelu PreluKernel Silu Gelu Hardswish Mish Tanh Elu Celu".split())
#: Nodes that hand the gradient to the values that were chosen, under every rule.
ROUTED = frozenset(
    "MaxPool2DWithIndices MaxPool3DWithIndices AdaptiveMaxPool2D Max Min Amax Amin Sort Topk Kthvalue".split()
)
#: Nodes that are linear in the one input that depends on the picture.
LINEAR = frozenset(
    "Convolution MkldnnConvolution CudnnConvolution NativeBatchNorm CudnnBatchNorm MiopenBatchNorm NativeDropout "
    "Add Sub Rsub Neg Mean Sum Cumsum View UnsafeView Reshape ReshapeAlias Permute Transpose T Expand Slice Select "
    "Index IndexSelect Gather Cat Stack Split SplitWithSizes UnsafeSplit Unbind Clone Copy CopySlices AsStrided Alias "
    "ToCopy Squeeze Unsqueeze Unfold Im2Col Col2Im Repeat Roll Flip Rot90 Diagonal Zero ConstantPadNd ReflectionPad2D "
    "ReplicationPad2D UpsampleNearest2D UpsampleNearestExact2D UpsampleBilinear2D UpsampleBicubic2D AvgPool2D "
    "AdaptiveAvgPool2D AvgPool3D PixelShuffle PixelUnshuffle".split()
)
#: Nodes that are linear unless more than one of their inputs depends on the picture.
PRODUCTS = frozenset(
    "Mul Div Mm Bmm Mv Dot Linear MkldnnLinear Addmm Addbmm Baddbmm Addmv Addcmul Lerp GridSampler2D".split()
)


@dataclass(frozen=True, order=True)
class Finding:
    """An operation on the way from the features to the picture, ``count`` times in the module ``place`` ("" for the
    network itself).

    ``treatment``: ``rule`` (under the backward rule), ``routed`` (to the values that were chosen, as in max pooling) or
    ``plain`` (its plain derivative). ``covered`` is False where the rule promises more than that.
    """

    place: str
    operation: str
    treatment: str
    covered: bool
    count: int

    def __str__(self) -> str:
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self.operation} in {self.place or 'the network itself'}{times}"


def audit(classifier: Classifier, layers: Iterable[Layer], rule: str = "guided") -> tuple[Finding, ...]:
    """What lies between ``layers`` and the picture, seen on one forward pass; what is not covered comes first."""
    with evaluating(classifier.module), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.blank().requires_grad_()
        with Recorder(classifier.module, [layer.name for layer in layers], lambda *_: None) as recorder:
            classifier.scores(inputs.clone())
        return walk(recorder.edges.values(), inputs, recorder.owners, rule)


def walk(
    starts: Iterable[GradientEdge], inputs: Tensor, owners: Mapping[Node, str], rule: str = "guided"
) -> tuple[Finding, ...]:
    """The same on a graph that is there: from ``starts`` to ``inputs``, which nodes are whose by ``owners``.

    Raises ModelError where no gradient leads from a start to the inputs.
    """
    starts = [edge.node for edge in starts]
    leading = _leading(starts, inputs)
    if not all(leading[node] for node in starts):
        raise ModelError("no gradient leads from some of the layers to the picture: name other layers")
    counts: Counter[tuple[bool, str, str, str]] = Counter()
    for node, depends in leading.items():
        operation = re.sub(r"Backward\d*$", "", node.name())
        treatment = _treatment(node, operation, depends)
        if depends and treatment:
            covered = treatment != "plain" or rule == "gradient"
            counts[covered, owners.get(node, ""), _snake(operation), treatment] += 1
    return tuple(Finding(place, name, how, covered, n) for (covered, place, name, how), n in sorted(counts.items()))


def _leading(starts: Iterable[Node], inputs: Tensor) -> dict[Node, int]:
    """Every node below the starts -> how many of its inputs depend on the picture."""
    leading: dict[Node, int] = {}
    pending = list(starts)
    while pending:  # a node is counted when all that follow it are
        node = pending[-1]
        following = [n for n, _ in node.next_functions if n is not None]
        unknown = [n for n in following if n not in leading]
        if node in leading or not unknown:
            pending.pop()
            here = getattr(node, "variable", None) is inputs
            leading.setdefault(node, int(here) or sum(leading[n] > 0 for n in following))
        else:
            pending += unknown
    return leading


def _treatment(node: Node, operation: str, depends: int) -> str | None:
    """How a node is treated, None where it is linear or the picture itself."""
    if hasattr(node, "variable"):
        return None
    if operation in RULED:
        return "rule"
    if operation in ROUTED:
        return "routed"
    if operation in LINEAR and not getattr(node, "_saved_training", False):  # norms of the picture itself are not
        return None
    if operation in PRODUCTS and depends < 2 and not _divides(node, operation):
        return None
    return "plain"


def _divides(node: Node, operation: str) -> bool:
    """Whether the picture is in the denominator."""
    return operation == "Div" and len(node.next_functions) > 1 and node.next_functions[-1][0] is not None


def _snake(operation: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"(\d)D", r"\1d", operation)).lower()
