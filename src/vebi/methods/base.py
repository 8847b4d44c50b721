"""What every method is, and what many share: the gradient of a class score, where it starts, the check of counts."""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.rules import rule_backward
from vebi.errors import UsageError
from vebi.models.classifier import Classifier


@runtime_checkable
class Explainer(Protocol):
    """A method that explains one model: preprocessed images and a class index for each -> one raw map per image.

    Any function of this signature is one. The larger a value, the more its pixel speaks for the class; a negative one
    speaks against it. Values of different images need not be comparable. The map of an image never depends on the
    others of its batch. Images, classes and maps are on the model's device.

    Example:
        >>> explainer = vebi.methods.GradCam(classifier)
        >>> isinstance(explainer, vebi.Explainer)
        True
        >>> explainer(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """Explains the class scores of images.

        Args:
            images: Preprocessed, n x c x h x w.
            targets: For each image the index of the class to explain, n.

        Returns:
            Heatmaps at the resolution of the images, n x h x w.
        """


def score_gradient(
    classifier: Classifier,
    images: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " n"],
    *,
    rule: str = "gradient",
    stride_fix: str | None = None,
) -> Float[Tensor, "n c h w"]:
    """Backpropagates class scores, before any softmax, to the pixels under a rule.

    Args:
        classifier: The network.
        images: Preprocessed, n x c x h x w.
        targets: Class indices, n.
        rule: Backprop rule, see ``vebi.backprop.rules``; by default the plain derivative.
        stride_fix: See ``vebi.backprop.stride_fix``.

    Returns:
        The gradient with respect to the images, n x c x h x w.

    Raises:
        UsageError: A rule or stride fix that does not exist.
    """
    with forward_graph(classifier, images) as (inputs, _, scores):
        seed = one_hot(scores, targets)
        return rule_backward([get_gradient_edge(scores)], [seed], inputs, rule=rule, stride_fix=stride_fix)


def one_hot(scores: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n classes"]:
    """1 at the target of each image, 0 elsewhere: where backpropagation from one score per image starts.

    Args:
        scores: The class scores, for their shape, type and device.
        targets: Class indices, n.

    Returns:
        As large as the scores.
    """
    return F.one_hot(targets.to(scores.device, torch.int64), scores.shape[1]).to(scores)


def check_counts(**counts: int) -> None:
    """Raises UsageError where one of the named counts is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} is {count}: give 1 or more")
