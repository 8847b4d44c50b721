"""Maps that no network is asked for: what the colours of an image alone, or its frame, say of where the object is.

A method that explains a network should find more than they do.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop.heatmaps import otsu_threshold, rescale
from vebi.models.preprocess import Preprocess

#: Luminance of red, green and blue (ITU-R BT.601), as Pillow converts to grey.
LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class ImageCue(ABC):
    """A map of the colours of an image alone, an ``Explainer`` to compare with: it ignores the targets.

    Attributes:
        preprocess: How images were normalised, which is undone; a grey image has three equal channels then.
    """

    preprocess: Preprocess = field(repr=False)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images, see ``Explainer``; zero or above, whatever the targets."""
        colours = [self.preprocess.to_rgb_uint8(image.detach()) / 255 for image in images]
        return torch.from_numpy(np.stack([self.cue(one) for one in colours])).to(images)

    @abstractmethod
    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The map of one image of its RGB colours in [0, 1]."""


@dataclass(frozen=True)
class Saturation(ImageCue):
    """How colourful a pixel is: its largest channel less its smallest, in [0, 1]; 0 everywhere in a grey image.

    Attributes:
        preprocess: How images were normalised, which is undone.

    Example:
        >>> saturation = vebi.methods.Saturation(classifier.preprocess)
        >>> bool(saturation(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).any())
        False
    """

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """Max - min over the channels."""
        spread: np.ndarray = np.ptp(colours, axis=2)
        return spread


@dataclass(frozen=True)
class BorderDistance(ImageCue):
    """How far the colour of a pixel is from that of the border of the image.

    The Euclidean distance in RGB from the median of each channel over the outermost pixels; at most sqrt(3).

    Attributes:
        preprocess: How images were normalised, which is undone.

    Example:
        >>> distance = vebi.methods.BorderDistance(classifier.preprocess)
        >>> image = torch.zeros(1, 3, 32, 32)
        >>> image[0, 0, 10, 20] = 2  # the brightest red
        >>> float(distance(image, torch.tensor([0]))[0, 10, 20])  # from 128 of 255
        0.498...
    """

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The distance from the median of the border."""
        inner = np.zeros(colours.shape[:2], bool)
        inner[1:-1, 1:-1] = True
        distance: np.ndarray = np.linalg.norm(colours - np.median(colours[~inner], axis=0), axis=2)
        return distance


@dataclass(frozen=True)
class Silhouette(BorderDistance):
    """The object as a threshold finds it: 1 where ``BorderDistance`` is above Otsu's threshold, holes filled, else 0.

    Attributes:
        preprocess: How images were normalised, which is undone.

    Reference:
        Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and
        Cybernetics 9(1), 1979.

    Example:
        >>> silhouette = vebi.methods.Silhouette(classifier.preprocess)
        >>> image, label = vebi.open_images("images").load(48)  # red, a square of 10 x 10 pixels
        >>> int(silhouette(classifier.preprocess.prepare(image)[None], torch.tensor([0])).sum())
        100
    """

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The distance parted in two."""
        from scipy.ndimage import binary_fill_holes

        distance = rescale(super().cue(colours))
        inside: np.ndarray = binary_fill_holes(distance > otsu_threshold(distance))
        return inside.astype(np.float64)


@dataclass(frozen=True)
class Edges(ImageCue):
    """Where the luminance changes: the magnitude of its Sobel gradient, blurred by 1/112 of the longer side.

    Attributes:
        preprocess: How images were normalised, which is undone.

    Example:
        >>> edges = vebi.methods.Edges(classifier.preprocess)
        >>> bool(edges(torch.ones(2, 3, 32, 32), torch.tensor([0, 2])).any())
        False
    """

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The blurred magnitude of the gradient."""
        from scipy.ndimage import gaussian_filter, sobel

        luminance = colours @ LUMINANCE
        magnitude = np.hypot(sobel(luminance, axis=0), sobel(luminance, axis=1))
        blurred: np.ndarray = gaussian_filter(magnitude, max(luminance.shape) / 112)
        return blurred


@dataclass(frozen=True)
class Sharpness(ImageCue):
    """Where the image is in focus: how far the luminance is from its blur, mean over the surroundings.

    Blurs are Gaussians of 1/75 and of 1/16 of the longer side.

    Attributes:
        preprocess: How images were normalised, which is undone.

    Example:
        >>> sharpness = vebi.methods.Sharpness(classifier.preprocess)
        >>> bool(sharpness(torch.ones(2, 3, 32, 32), torch.tensor([0, 2])).any())
        False
    """

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The blurred distance from the blur."""
        from scipy.ndimage import gaussian_filter

        luminance, side = (colours @ LUMINANCE).round(12), max(colours.shape[:2])  # no rounding errors where it is even
        detail = np.abs(luminance - gaussian_filter(luminance, side / 75)).round(12)
        surroundings: np.ndarray = gaussian_filter(detail, side / 16)
        return surroundings


@dataclass(frozen=True)
class RandomBlob(ImageCue):
    """A Gaussian bump of random place and size, as a map that knows nothing of the image would have.

    Its centre lies anywhere, its standard deviation between 1/16 and 1/4 of the sides. It depends on the seed and the
    colours of the image alone: the same image has the same bump in every batch.

    Attributes:
        preprocess: How images were normalised, which is undone.
        seed: Of the bumps.

    Example:
        >>> blob = vebi.methods.RandomBlob(classifier.preprocess, seed=1)
        >>> one, other = blob(torch.randn(2, 3, 32, 32), torch.tensor([0, 2]))
        >>> bool((one == other).all())
        False
    """

    seed: int = 0

    def cue(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The bump that seed and colours draw."""
        digest = hashlib.sha256(f"{self.seed} ".encode() + colours.tobytes()).digest()
        chance = np.random.default_rng(list(digest))
        return gaussian_bump(colours.shape[:2], chance.random(2), chance.uniform(1 / 16, 1 / 4))


@dataclass(frozen=True)
class Centre:
    """A Gaussian bump in the middle, as photographers place an object; its standard deviation is 1/4 of each side.

    It ignores targets and images alike.

    Example:
        >>> maps = vebi.methods.Centre()(torch.zeros(2, 3, 33, 33), torch.tensor([0, 2]))
        >>> divmod(int(maps[0].argmax()), 33), float(maps[0].max())
        ((16, 16), 1.0)
    """

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The same map for every image, in [0, 1], whatever the targets."""
        bump = torch.from_numpy(gaussian_bump(images.shape[2:], np.array([0.5, 0.5]), 1 / 4))
        return bump.to(images).repeat(len(images), 1, 1)


def gaussian_bump(
    shape: tuple[int, ...], centre: Float[np.ndarray, " 2"], deviation: float
) -> Float[np.ndarray, "h w"]:
    """A Gaussian of height 1.

    Args:
        shape: Height and width in pixels.
        centre: Its row and column as shares of the sides, in [0, 1].
        deviation: Its standard deviation as a share of each side.

    Returns:
        Its values at the centres of the pixels, h x w.
    """
    offsets = [(np.arange(side) + 0.5) / side - c for side, c in zip(shape, centre, strict=True)]
    bump: np.ndarray = np.outer(*(np.exp(-(offset**2) / (2 * deviation**2)) for offset in offsets))
    return bump
