"""What every method is, and the gradient of a class score, from which many of them start."""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.rules import pull_back
from vebi.models.classifier import Classifier


@runtime_checkable
class Explainer(Protocol):
    """A method that is bound to a model: prepared pictures and one class index each -> one raw map a picture.

    Maps have the size of the pictures. The larger a value, the more its pixel speaks for the class; a negative one
    speaks against it. Values of different pictures need not be comparable. A picture's map never depends on the others
    of its batch. Pictures, classes and maps lie on the model's device.
    """

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]: ...


def score_gradient(
    classifier: Classifier,
    images: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " n"],
    *,
    rule: str = "gradient",
    stride_fix: str | None = None,
) -> Float[Tensor, "n c h w"]:
    """The class scores, before any softmax, led back to the pixels under a backward rule (see ``backward``)."""
    with forward_graph(classifier, images) as (inputs, _, scores):
        seed = one_of_each(scores, targets)
        return pull_back([get_gradient_edge(scores)], [seed], inputs, rule=rule, stride_fix=stride_fix)


def one_of_each(scores: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n classes"]:
    """1 at the class of every picture, 0 elsewhere: where the way back from one score a picture starts."""
    return F.one_hot(targets.to(scores.device, torch.int64), scores.shape[1]).to(scores)
