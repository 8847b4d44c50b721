"""How an image becomes the network's input."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vebi.errors import ImageError, UsageError, as_count, as_number, require_choice

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the network's input.

    The shorter side is scaled to ``resize``, the middle ``size`` x ``size`` cropped, divided by 255 and normalised by
    ``mean`` and ``std``.

    Attributes:
        size: Height and width of the input in pixels, at least 1.
        mean: The mean of each channel on the scale from 0 to 1: three numbers for RGB, one for grey.
        std: The standard deviation of each channel on the same scale, above 0.
        resize: The length in pixels that the shorter side is scaled to, at least ``size``; None: ``size``.
        interpolation: ``bilinear``, ``bicubic``, ``lanczos`` or ``nearest``.

    Raises:
        UsageError: A value is not allowed.

    Example:
        >>> preprocess = vebi.Preprocess(size=24, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), resize=32)
        >>> print(preprocess)
        24 x 24 px of 32, bilinear, mean 0.5 0.5 0.5, std 0.25 0.25 0.25
        >>> image, label = vebi.open_images("images").load(0)
        >>> preprocess.prepare(image).shape
        torch.Size([3, 24, 24])
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            numbers = np.atleast_1d(np.asarray(getattr(self, name), dtype=object)).ravel()
            of_numbers = tuple(x if isinstance(x, float) else as_number(name, x) for x in numbers)
            object.__setattr__(self, name, of_numbers)
        for name in ("size", "resize"):
            if name == "size" or self.resize is not None:
                object.__setattr__(self, name, as_count(name, getattr(self, name), least=0))
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if self.size < 1 or (self.resize is not None and self.resize < self.size):
            raise UsageError(
                f"size is {self.size} and resize {self.resize}: size must be at least 1, resize at least size"
            )
        finite = all(abs(value) < 1e300 for value in (*self.mean, *self.std))  # an integer can exceed any float
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std) or not finite or min(self.std) <= 0:
            raise UsageError(
                f"mean is {self.mean} and std {self.std}: give one number (grey) or three (RGB) each, std above 0"
            )

    def __str__(self) -> str:
        mean, std = (" ".join(f"{x:g}" for x in values) for values in (self.mean, self.std))
        scaled = f" of {self.resize}" if self.resize not in (None, self.size) else ""
        return f"{self.size} x {self.size} px{scaled}, {self.interpolation}, mean {mean}, std {std}"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON takes them."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocess":
        """The preprocessing that ``to_dict`` wrote.

        Args:
            fields: The fields by name.

        Returns:
            An equal preprocessing.

        Raises:
            KeyError: ``mean`` or ``std`` is missing.
            TypeError: A field is missing or unknown, or of another type.
            UsageError: A value is not allowed.
        """
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})

    def prepare(self, image: Image.Image | Tensor, name: str = "the image") -> Float[Tensor, "c h w"]:
        """The network's input of an image.

        Args:
            image: An RGB image, or a float tensor C x ``size`` x ``size`` that is the input already.
            name: What messages call the image.

        Returns:
            The input in float32, normalised.

        Raises:
            ImageError: A tensor of another shape, or with NaN or infinity in it.
        """
        shape = (len(self.mean), self.size, self.size)
        if isinstance(image, Tensor):
            if tuple(image.shape) != shape:
                raise ImageError(f"{name} is a tensor of shape {tuple(image.shape)}, but the network takes {shape}")
            if not image.isfinite().all():
                raise ImageError(f"{name} is a tensor with NaN or infinity in it, but the network takes finite numbers")
            return image.float()
        pixels = torch.from_numpy(self.pixels(image)).permute(2, 0, 1)
        return (pixels.float() / 255 - self._per_channel(self.mean)) / self._per_channel(self.std)

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "h w c"]:
        """The 8-bit pixels of an RGB image, scaled and cropped but not normalised.

        Args:
            image: An RGB image.

        Returns:
            ``size`` x ``size`` x C values, 0 to 255.
        """
        crop = self.center_crop(image)
        return np.array(crop.convert("L") if len(self.mean) == 1 else crop).reshape(self.size, self.size, -1)

    def to_rgb_uint8(self, prepared: Float[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
        """An input of the network as 8-bit RGB, the normalisation undone.

        Args:
            prepared: The input, C x H x W.

        Returns:
            H x W x 3 values, 0 to 255.
        """
        pixels = prepared.cpu() * self._per_channel(self.std) + self._per_channel(self.mean)
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).expand(-1, -1, 3)
        return np.ascontiguousarray(pixels)

    def center_crop(self, image: Image.Image, interpolation: str | None = None) -> Image.Image:
        """The middle of an image, scaled and cropped to ``size`` x ``size``.

        Only the part that is left after the crop is scaled, so that a long, thin image does not fill the memory.

        Args:
            image: An image in any mode.
            interpolation: Another interpolation than that of the preprocessing.

        Returns:
            The crop, in the same mode.
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
    def _per_channel(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device="cpu").view(-1, 1, 1)
