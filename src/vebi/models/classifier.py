"""The model under study: a module, its preprocessing of images, and the names of its classes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vebi.errors import ModelError, UsageError
from vebi.models.preprocess import Preprocess


@dataclass(frozen=True)
class Classifier:
    """A trained network N x C x H x W -> N x classes with its preprocessing and its class names.

    Attributes:
        model: The network; what ``torch.compile`` or ``DataParallel`` have wrapped around it is taken off.
        preprocess: How an image becomes its input.
        class_names: One name per output, in the order of the outputs, or None where the classes have no names.
        spec: What ``load_classifier`` made the network from, so that a run can load it again; None for a network made
            in Python.
        weights: The path of its weights file, or None.

    Raises:
        UsageError: Two classes have one name.
        ModelError: The network is scripted, traced or quantised.

    Example:
        >>> network = vebi.Classifier(classifier.model, classifier.preprocess, ("blue", "green", "red"))
        >>> image, label = vebi.open_images("images").load(0)
        >>> scores = network.logits(network.preprocess.prepare(image)[None])
        >>> scores.shape, network.class_names[scores.argmax()]
        (torch.Size([1, 3]), 'blue')
    """

    model: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None = None
    spec: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", _unwrap(self.model))
        names = self.class_names or ()
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise UsageError(f"two classes are called {twice!r}: give every class a name of its own")

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def zero_input(self, count: int = 1) -> Float[Tensor, "n c h w"]:
        """Inputs of zeros in the shape that the model takes.

        Args:
            count: How many inputs.

        Returns:
            ``count`` x C x ``size`` x ``size`` zeros on the model's device: the mean of each channel at every pixel.
        """
        size = self.preprocess.size
        return torch.zeros(count, len(self.preprocess.mean), size, size, device=self.device)

    def logits(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """The class scores of inputs.

        Args:
            inputs: N x C x H x W, normalised, on the model's device.

        Returns:
            N x classes, finite.

        Raises:
            ModelError: The model does not give one finite row of two or more scores per image, or another number of
                classes than there are names.
        """
        scores = self.model(inputs)
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(inputs) or scores.shape[1] < 2:
            given = f"a tensor of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
            raise ModelError(
                f"for {len(inputs)} images the model gives {given}, but N x C scores of two or more classes are "
                f"needed: wrap it in a module that returns them"
            )
        if not scores.isfinite().all():
            raise ModelError("the model's class scores hold NaN or infinity: check its weights and the preprocessing")
        if self.class_names is not None and scores.shape[1] != len(self.class_names):
            raise ModelError(
                f"the model gives {scores.shape[1]} class scores, but {len(self.class_names)} class names are known "
                f"({', '.join(self.class_names[:6])}{', ...' if len(self.class_names) > 6 else ''}): "
                f"name as many classes as it has"
            )
        return scores

    def sha256(self) -> str:
        """The sha256 of all parameters and buffers with their names and shapes."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            array = value.detach().cpu().contiguous()
            digest.update(f"{name}\0{tuple(array.shape)}\0{array.dtype}\0".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module into evaluation mode, not compiled, while the block runs.

    Args:
        module: The module; every part of it returns to the mode that it was in, after an error too.
    """
    modes = {part: part.training for part in module.modules()}
    compiled = any(_is_compiled(part) or part._compiled_call_impl is not None for part in modes)
    try:
        module.eval()
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _unwrap(module: nn.Module) -> nn.Module:
    """The module under what torch.compile or DataParallel have wrapped around it.

    Raises ModelError for a module in which no activation or no gradient can be seen.
    """
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel) or _is_compiled(module):
        inner = module._orig_mod if _is_compiled(module) else module.module
        assert isinstance(inner, nn.Module)
        module = inner
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
