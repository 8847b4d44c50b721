"""The model under study: a module, how its pictures are prepared, and the names of its classes."""

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
