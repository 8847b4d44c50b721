"""How an image becomes the network's input."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vebi.errors import ImageError, UsageError

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the network's input.

    The shorter side is scaled to ``resize`` (``size`` where that is None) by ``interpolation``, the middle ``size`` x
    ``size`` cut out, divided by 255 and normalised by ``mean`` and ``std``, one number a colour; one number alone means
    grey pictures.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self):
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(f"interpolation is {self.interpolation!r}: choose one of {', '.join(INTERPOLATIONS)}")
        if self.size < 1 or (self.resize is not None and self.resize < self.size):
            raise UsageError(
                f"size is {self.size} and resize {self.resize}: size must be at least 1, resize at least size"
            )
        finite = all(abs(value) < 1e300 for value in (*self.mean, *self.std))  # a whole number can exceed any float
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std) or not finite or min(self.std) <= 0:
            raise UsageError(
                f"mean is {self.mean} and std {self.std}: give one number (grey) or three (RGB) each, std above 0"
            )

    def __str__(self) -> str:
        mean, std = (" ".join(f"{x:g}" for x in values) for values in (self.mean, self.std))
        scaled = f" of {self.resize}" if self.resize not in (None, self.size) else ""
        return f"{self.size} x {self.size} px{scaled}, {self.interpolation}, mean {mean}, std {std}"

    def prepare(self, image: Image.Image | Tensor, name: str = "the picture") -> Float[Tensor, "c h w"]:
        """The network's input of an RGB image; a float tensor of the right shape is taken as ready."""
        shape = (len(self.mean), self.size, self.size)
        if isinstance(image, Tensor):
            if tuple(image.shape) != shape:
                raise ImageError(f"{name} is a tensor of shape {tuple(image.shape)}, but the network takes {shape}")
            if not image.isfinite().all():
                raise ImageError(f"{name} is a tensor with NaN or infinity in it, but the network takes finite numbers")
            return image.float()
        pixels = torch.from_numpy(self.pixels(image)).permute(2, 0, 1)
        return (pixels.float() / 255 - self._column(self.mean)) / self._column(self.std)

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "h w c"]:
        """The 8-bit pixels that an RGB image comes down to, before they are normalised."""
        cut = self.cut(image)
        return np.array(cut.convert("L") if len(self.mean) == 1 else cut).reshape(self.size, self.size, -1)

    def picture(self, prepared: Float[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
        """What the network saw, as 8-bit RGB."""
        pixels = prepared.cpu() * self._column(self.std) + self._column(self.mean)
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).expand(-1, -1, 3)
        return np.ascontiguousarray(pixels)

    def cut(self, image: Image.Image, interpolation: str | None = None) -> Image.Image:
        """The middle of an image, ``size`` x ``size``, scaled by ``interpolation`` (by default its own).

        Scales only what is left after the cut, so that a long, thin picture does not fill the memory.
        """
        box = []
        for side in image.size:
            scaled = round(side * (self.resize or self.size) / min(image.size))
            start = (scaled - self.size) // 2
            box.append((start * side / scaled, min(side, (start + self.size) * side / scaled)))
        (left, right), (top, bottom) = box
        sampling = Image.Resampling[(interpolation or self.interpolation).upper()]
        return image.resize((self.size, self.size), sampling, (left, top, right, bottom))

    @staticmethod
    def _column(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values).view(-1, 1, 1)
