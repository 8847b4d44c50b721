"""The model under study: a module, how its pictures are prepared, and the names of its classes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from vebi.errors import ImageError, ModelError, UsageError

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


@dataclass(frozen=True)
class Classifier:
    """A trained network N x C x H x W -> N x classes with its preparation of pictures and its class names.

    ``class_names`` is None where nobody has named the classes. ``spec`` and ``weights`` say where the network came
    from, so that a run can find it again; both may be None for a network made in Python.
    """

    module: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None = None
    spec: str | None = None
    weights: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "module", _plain(self.module))
        names = self.class_names or ()
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise UsageError(f"two classes are called {twice!r}: give every class a name of its own")

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def blank(self, count: int = 1) -> Float[Tensor, "n c h w"]:
        """Inputs of zeros in the right shape: the mean picture."""
        size = self.preprocess.size
        return torch.zeros(count, len(self.preprocess.mean), size, size, device=self.device)

    def scores(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """The class scores. Raises ModelError where they are not one finite row a picture."""
        scores = self.module(inputs)
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(inputs) or scores.shape[1] < 2:
            given = f"a tensor of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
            raise ModelError(
                f"for {len(inputs)} pictures the model gives {given}, but N x C scores of two or more classes are "
                f"needed: wrap it in a module that returns them"
            )
        if not scores.isfinite().all():
            raise ModelError("the model's class scores hold NaN or infinity: check its weights and the preparation")
        if self.class_names is not None and scores.shape[1] != len(self.class_names):
            raise ModelError(
                f"the model gives {scores.shape[1]} class scores, but {len(self.class_names)} class names are known "
                f"({', '.join(self.class_names[:6])}{', ...' if len(self.class_names) > 6 else ''}): "
                f"name as many classes as it has"
            )
        return scores

    def hash(self) -> str:
        """sha256 of all parameters and buffers with their names and shapes."""
        digest = hashlib.sha256()
        for name, value in sorted(self.module.state_dict().items()):
            array = value.detach().cpu().contiguous()
            digest.update(f"{name}\0{tuple(array.shape)}\0{array.dtype}\0".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def _plain(module: nn.Module) -> nn.Module:
    """The module itself under what torch.compile or DataParallel have wrapped around it.

    Raises ModelError for a module in which no activation or no gradient can be seen.
    """
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel) or _is_compiled(module):
        module = module._orig_mod if _is_compiled(module) else module.module
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ModelError(
            "the model is scripted or traced by torch.jit, and its layers cannot be seen: "
            "give the module that it was made from"
        )
    if any(".quantized" in type(part).__module__ for part in module.modules()):
        raise ModelError(
            "the model is quantised, and no gradient passes through it: give the model before quantisation"
        )
    return module


def _is_compiled(part: nn.Module) -> bool:
    return type(part).__name__ == "OptimizedModule"


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode and not compiled; every part goes back to the mode it was in."""
    modes = {part: part.training for part in module.modules()}
    compiled = any(_is_compiled(part) or part._compiled_call_impl is not None for part in modes)
    try:
        module.eval()
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
