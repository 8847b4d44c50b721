"""Methods that hide parts of an image and ask for the scores again: occlusion, RISE and Score-CAM.

An image is multiplied by masks, 1 where it is seen: what is hidden gets the mean colour, the zero of the normalised
input. Each image is masked by itself, so that its map owes nothing to its batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.heatmaps import upsample
from vebi.errors import UsageError
from vebi.methods.base import check_counts
from vebi.methods.cam import check_interpolation, find_layer
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Occlusion:
    """Occlusion: how far the class score drops where a window of the image is hidden; signed.

    The score is that before any softmax; the paper shows the probability. The window moves by ``stride`` and stops at
    the far borders, too. A pixel gets the mean drop over the windows that cover it.

    Attributes:
        classifier: The network.
        window: Height and width of the window in pixels, at most those of the input.
        stride: Pixels from one window to the next, at most ``window``.
        batch_size: Masked images per pass, 1 or more.

    Raises:
        UsageError: A window larger than the input, a stride that leaves pixels out, or no image per pass.

    Reference:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.

    Example:
        >>> occlusion = vebi.methods.Occlusion(classifier, window=8, stride=4)
        >>> occlusion
        Occlusion(window=8, stride=4, batch_size=64)
        >>> occlusion(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    classifier: Classifier = field(repr=False)
    window: int = 16
    stride: int = 8
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_counts(window=self.window, stride=self.stride, batch_size=self.batch_size)
        size = self.classifier.preprocess.size
        if self.window > size or self.stride > self.window:
            raise UsageError(
                f"window is {self.window} and stride {self.stride}: give a window of at most {size} pixels, the size "
                f"of the input, and a stride of at most the window"
            )

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``."""
        return torch.stack([self._map(image, c) for image, c in zip(images, targets.tolist(), strict=True)])

    def _map(self, image: Float[Tensor, "c h w"], target: int) -> Float[Tensor, "h w"]:
        drops = torch.zeros_like(image[0])
        count = torch.zeros_like(drops)
        score = masked_scores(self.classifier, image, torch.ones_like(drops)[None])[0, target]
        for hidden in self._windows(*image.shape[1:]):
            covered = hidden.to(drops)
            drop = score - masked_scores(self.classifier, image, 1 - covered)[:, target]
            drops += torch.einsum("m,mhw->hw", drop, covered)
            count += covered.sum(dim=0)
        return drops / count

    def _windows(self, height: int, width: int) -> Iterator[Bool[Tensor, "m h w"]]:
        """The pixels of every window, as many windows at a time as a pass takes."""
        rows, columns = (self._covered(side) for side in (height, width))
        pairs = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(columns)))
        for part in passes(len(pairs), self.batch_size):
            yield rows[pairs[part, 0], :, None] & columns[pairs[part, 1], None, :]

    def _covered(self, side: int) -> Bool[Tensor, "k side"]:
        """For each place of the window along a side the pixels that it covers."""
        last = max(side - self.window, 0)
        first = torch.tensor([*range(0, last, self.stride), last])[:, None]
        return (torch.arange(side) >= first) & (torch.arange(side) < first + self.window)


@dataclass(frozen=True)
class Rise:
    """RISE: the mean of random masks, weighted by the probability of the class in the masked image.

    A mask is a grid of cells, each seen with ``probability``, enlarged bilinearly and shifted by less than a cell. The
    masks are drawn once, the same for every image. A cell has ceil(side / cells) pixels, as in the authors' code; with
    the floor of the paper a shifted mask could be smaller than the image.

    Attributes:
        classifier: The network.
        n_masks: Masks, 1 or more.
        cells: Cells of a mask along each side of the image, 1 or more.
        probability: That a cell is seen, above 0 and below 1.
        seed: Of the masks.
        batch_size: Masked images per pass, 1 or more.

    Raises:
        UsageError: A value that is not allowed.

    Reference:
        Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
        equation 6 and section 3.2.

    Example:
        >>> rise = vebi.methods.Rise(classifier, n_masks=100)
        >>> rise
        Rise(n_masks=100, cells=7, probability=0.5, seed=0, batch_size=64)
        >>> rise(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    classifier: Classifier = field(repr=False)
    n_masks: int = 500
    cells: int = 7
    probability: float = 0.5
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_counts(n_masks=self.n_masks, cells=self.cells, batch_size=self.batch_size)
        if not 0 < self.probability < 1:
            raise UsageError(f"probability is {self.probability}: give a number above 0 and below 1")

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        total = torch.zeros_like(images[:, 0])
        for masks in self._masks(*images.shape[2:]):
            masks = masks.to(images)
            for n, c in enumerate(targets.tolist()):
                scores = masked_scores(self.classifier, images[n], masks)
                probabilities = self.classifier.probabilities(scores)[:, c]
                total[n] += torch.einsum("m,mhw->hw", probabilities, masks)
        return total / (self.n_masks * self.probability)

    def _masks(self, height: int, width: int) -> Iterator[Float[Tensor, "m h w"]]:
        """The masks, as many at a time as a pass takes."""
        chance = torch.Generator().manual_seed(self.seed)
        cell = [ceil(side / self.cells) for side in (height, width)]
        grids = torch.rand(self.n_masks, 1, self.cells, self.cells, generator=chance) < self.probability
        shifts = torch.stack([torch.randint(side, (self.n_masks,), generator=chance) for side in cell], dim=1)
        enlarged = [(self.cells + 1) * side for side in cell]
        for part in passes(self.n_masks, self.batch_size):
            masks = F.interpolate(grids[part].float(), enlarged, mode="bilinear", align_corners=False)[:, 0]
            corners = zip(masks, shifts[part].tolist(), strict=True)
            yield torch.stack([mask[y : y + height, x : x + width] for mask, (y, x) in corners])


@dataclass(frozen=True)
class ScoreCam:
    """Score-CAM: a layer's activations, weighted by the probability of the class where only their channel is seen.

    The mask of a channel is its activation, upsampled and min-max scaled; a channel that is the same everywhere hides
    the image. From the probability that of an image of the mean colour is subtracted (increase of confidence), so a map
    is zero where no channel raises it.

    Attributes:
        classifier: The network.
        layer: Name of the layer; by default the last convolutional one, behind its activation function.
        interpolation: How masks and map are upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
        batch_size: Masked images per pass, 1 or more.

    Raises:
        UsageError: Another interpolation, a layer without maps, or no image per pass.

    Reference:
        Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR Workshops
        2020, definitions 2 and 3.

    Example:
        >>> score_cam = vebi.methods.ScoreCam(classifier)
        >>> score_cam
        ScoreCam(layer='relu', interpolation='bilinear', batch_size=64)
        >>> score_cam(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    classifier: Classifier = field(repr=False)
    layer: str | None = None
    interpolation: str = "bilinear"
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_interpolation(self.interpolation)
        check_counts(batch_size=self.batch_size)
        object.__setattr__(self, "layer", find_layer(self.classifier, self.layer))

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        assert self.layer is not None  # __post_init__ has found one
        with forward_graph(self.classifier, images, [self.layer]) as (_, recorder, _):
            activations = recorder.records[self.layer].to(images.dtype)
        rows = zip(images, activations, targets.tolist(), strict=True)
        maps = torch.stack([self._map(*row) for row in rows]).clamp(min=0)
        return upsample(maps, images.shape[2:], self.interpolation)

    def _map(
        self, image: Float[Tensor, "c h w"], activation: Float[Tensor, "k u v"], target: int
    ) -> Float[Tensor, "u v"]:
        hidden = torch.zeros_like(image[:1])
        baseline = self.classifier.probabilities(masked_scores(self.classifier, image, hidden))[0, target]
        total = torch.zeros_like(activation[0])
        for part in passes(len(activation), self.batch_size):
            channels = activation[part]
            scores = masked_scores(self.classifier, image, self._masks(channels, image))
            weights = self.classifier.probabilities(scores)[:, target] - baseline
            total += torch.einsum("k,kuv->uv", weights, channels)
        return total

    def _masks(self, channels: Float[Tensor, "k u v"], image: Float[Tensor, "c h w"]) -> Float[Tensor, "k h w"]:
        masks = upsample(channels, image.shape[1:], self.interpolation)
        low, high = (extreme(masks, dim=(1, 2), keepdim=True) for extreme in (torch.amin, torch.amax))
        # asked of the activation itself: upsampling leaves rounding errors, which scaling would show
        varies = channels.amax(dim=(1, 2), keepdim=True) > channels.amin(dim=(1, 2), keepdim=True)
        return torch.where(varies & (high > low), (masks - low) / (high - low), 0)


def passes(count: int, batch_size: int) -> Iterator[slice]:
    """The parts of ``count`` masks that each pass takes."""
    return (slice(start, start + batch_size) for start in range(0, count, batch_size))


def masked_scores(
    classifier: Classifier, image: Float[Tensor, "c h w"], masks: Float[Tensor, "m h w"]
) -> Float[Tensor, "m classes"]:
    """The class scores of an image times each of the masks, as wide as the image, without gradients."""
    with classifier.evaluation(), torch.no_grad():
        return classifier.logits(image * masks[:, None]).to(image.dtype)
