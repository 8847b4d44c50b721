"""Layers that are the class scores already: to explain a class by them would be to explain it by itself."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from vebi.activations.detached import leading_nodes
from vebi.activations.recorder import ActivationRecorder
from vebi.models.classifier import Classifier
from vebi.models.model_errors import errors_of_backward
from vebi.models.probe import noise

#: How far a channel may move another score than its own, as a share of what it moves that: half precision rounds so.
NOTHING = {torch.float16: 5e-3, torch.bfloat16: 3e-2}
NOTHING_IN_FULL = 1e-4


def find_class_maps(classifier: Classifier, names: Sequence[str], of_classes: Sequence[str]) -> set[str]:
    """Those of some layers that are the class scores themselves, or made of them alone.

    The first are those of which every channel moves the score of one class alone, each another one, as of the last
    activation of SqueezeNet, whose mean over the positions is the scores. It is told from two gradients of sums of the
    scores with random weights: where a channel moves one score only, both are the same but for the weights of that
    class. Channels that move nothing, of classes that the image is far from, do not count where others do. The second
    are those from which every way to the image leads through the scores, as of a side output.

    Args:
        classifier: The model.
        names: Names of layers.
        of_classes: Those of them with as many channels as there are classes.

    Returns:
        Their names.
    """
    shape = len(classifier.preprocess.mean), classifier.preprocess.size, classifier.preprocess.size
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = noise(shape).to(classifier.device).requires_grad_()
        with ActivationRecorder(classifier.model, names, lambda *_: None) as recorder:
            scores = classifier.logits(inputs.clone())
        if not scores.requires_grad:
            return set()
        nodes = {name: recorder.gradient_edges[name].node for name in names}
        image, end = (get_gradient_edge(tensor).node for tensor in (inputs, scores))
        beside = leading_nodes(nodes.values(), image, beside=end)
        maps = {name for name, node in nodes.items() if node not in beside}
        if not of_classes:
            return maps
        edges = [recorder.gradient_edges[name] for name in of_classes]
        generator = torch.Generator("cpu").manual_seed(1)
        weights = [torch.rand(scores.shape[1], generator=generator, dtype=torch.float32) + 0.5 for _ in range(2)]
        with errors_of_backward():
            moved = [
                torch.autograd.grad(scores, edges, w.to(scores).expand_as(scores), retain_graph=True, allow_unused=True)
                for w in weights
            ]
    precision = next((p.dtype for p in classifier.model.parameters()), torch.float32)
    nothing = NOTHING.get(precision, NOTHING_IN_FULL)
    rows = zip(of_classes, *moved, strict=True)
    return maps | {name for name, first, second in rows if _one_score_each(first, second, weights, nothing)}


def _one_score_each(first: Tensor | None, second: Tensor | None, weights: Sequence[Tensor], nothing: float) -> bool:
    """Whether gradients are those of weighted scores that each depend on a channel of its own."""
    one, other = weights
    if first is None or second is None or first.shape[1] != len(one):
        return False
    size = first.transpose(0, 1).flatten(1).double().cpu()
    ratio = second.transpose(0, 1).flatten(1).double().cpu() / torch.where(size != 0, size, torch.inf)
    lives = size != 0
    living = lives.any(dim=1)
    if living.sum() < max(2, len(one) / 2):
        return False
    lives, ratio = lives[living], ratio[living]
    low = torch.where(lives, ratio, torch.inf).amin(dim=1)
    high = torch.where(lives, ratio, -torch.inf).amax(dim=1)
    of_classes = (other / one).double()
    nearest = (low[:, None] - of_classes).abs().argmin(dim=1)
    same = (high - low <= nothing * high.abs()) & ((low - of_classes[nearest]).abs() <= nothing * low.abs())
    return bool(same.all()) and len(set(nearest.tolist())) == len(nearest)
