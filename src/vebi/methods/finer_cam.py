"""Finer-CAM: Grad-CAM of what tells a class from those that are like it."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from vebi.errors import UsageError
from vebi.methods.base import check_counts, one_hot
from vebi.methods.cam import GradCam


@dataclass(frozen=True)
class FinerCam(GradCam):
    """Finer-CAM: Grad-CAM of the class score less ``alpha`` times the mean score of the most similar classes.

    Similar are, per image, the classes whose scores are nearest to the target's, above or below, as in the authors'
    code. All of them count alike; that code weighs them by their probabilities. With ``alpha`` 0 it is Grad-CAM.

    Attributes:
        classifier: The network.
        layer: Name of the layer; by default the last convolutional one, behind its activation function.
        interpolation: How the map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
        alpha: Strength of the comparison, 0 or more.
        n_similar: How many similar classes, 1 or more; all other classes where there are fewer.

    Raises:
        UsageError: Another interpolation, a layer without maps, an alpha below 0, or no similar class.
        ModelError: The network has fewer than two classes.

    Reference:
        Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation", CVPR 2025.

    Example:
        >>> finer_cam = vebi.methods.FinerCam(classifier, n_similar=1)
        >>> finer_cam
        FinerCam(layer='relu', interpolation='bilinear', alpha=0.6, n_similar=1)
        >>> finer_cam(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    alpha: float = 0.6
    n_similar: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(n_similar=self.n_similar)
        if not self.alpha >= 0:
            raise UsageError(f"alpha is {self.alpha}: give 0 or more")

    def seed(self, scores: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n classes"]:
        """1 at the target, minus alpha / k at each of the k most similar classes."""
        target = one_hot(scores, targets)
        own = (scores * target).sum(dim=1, keepdim=True)
        distance = (scores - own).abs().masked_fill(target > 0, float("inf"))
        count = min(self.n_similar, scores.shape[1] - 1)
        similar = distance.argsort(dim=1, stable=True)[:, :count]
        return target.scatter(1, similar, -self.alpha / count)
