"""Layers from which no gradient leads to the image: a heatmap of them cannot be made."""

from collections.abc import Collection, Sequence

import torch
from torch.autograd.graph import Node, get_gradient_edge

from vebi.activations.recorder import ActivationRecorder
from vebi.errors import join_names
from vebi.models.classifier import Classifier

_WITHOUT_GRADIENTS, _CHECKPOINT, _CUT_OFF = "without gradients", "checkpoint", "cut off"
_SENTENCES = {
    _WITHOUT_GRADIENTS: "the model runs {} without gradients, as under torch.no_grad() or in a checkpoint with "
    "use_reentrant=True",
    _CHECKPOINT: "the model runs what lies before {} in a checkpoint with use_reentrant=True",
    _CUT_OFF: "the model cuts {} off from the image, as by detach(), NumPy or quantisation",
}


def find_detached(classifier: Classifier, names: Collection[str]) -> dict[str, str]:
    """Those of some layers from which no gradient leads to the image, and why.

    Args:
        classifier: The model.
        names: Names of layers.

    Returns:
        Name of a layer -> what the model does with it.
    """
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.zero_input().requires_grad_()
        with ActivationRecorder(classifier.model, None, lambda *_: torch.is_grad_enabled()) as recorder:
            classifier.logits(inputs.clone())
        recorder.check_ran(names)
        nodes, image = recorder.gradient_edges, get_gradient_edge(inputs).node
        starts = [edge.node for edge in nodes.values()]
        leading, with_checkpoints = leading_nodes(starts, image), leading_nodes(starts, image, checkpoints=True)
    kinds = {}
    for name in names:
        node = nodes[name].node if name in nodes else None
        if node not in leading:
            cut = _CHECKPOINT if node in with_checkpoints else _CUT_OFF
            kinds[name] = cut if recorder.records[name] else _WITHOUT_GRADIENTS
    return kinds


def describe_detached(detached: dict[str, str], names: Sequence[str]) -> str:
    """What a model does with some of its detached layers, as a part of a sentence."""
    kinds = {kind: [name for name in names if detached[name] == kind] for kind in _SENTENCES}
    return "; ".join(_SENTENCES[kind].format(join_names(of_kind)) for kind, of_kind in kinds.items() if of_kind)


def leading_nodes(
    starts: Collection[Node], image: Node, *, checkpoints: bool = False, beside: Node | None = None
) -> set[Node]:
    """The nodes from some nodes on from which a backward pass leads to the image, not through the one ``beside``.

    None leads through a reentrant checkpoint, unless ``checkpoints``: it crosses all ways, and fails at that one.
    """
    leads: dict[Node, bool] = {image: True} if beside is None else {beside: False, image: True}
    closed = dict.fromkeys(leads, False)
    pending = list(starts)
    while pending:  # a node is known when all that follow it are
        node = pending[-1]
        following = [n for n, _ in node.next_functions if n is not None]
        unknown = [] if node in leads else [n for n in following if n not in leads]
        pending += unknown
        if unknown:
            continue
        if pending.pop() not in leads:
            leads[node] = any(leads[n] for n in following)
            is_checkpoint = node.name() == "CheckpointFunctionBackward" and leads[node]
            closed[node] = is_checkpoint or any(closed[n] for n in following)
    return {node for node, does in leads.items() if does and (checkpoints or not closed[node])}
