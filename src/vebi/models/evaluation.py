"""Evaluation mode: a network computes the same for every image, for one thread at a time; and its precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock, RLock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from vebi.models.model_errors import errors_of_mode

#: One thread at a time works with a model: its mode and what is recorded of it belong to the model, not to a thread.
_LOCKS: WeakKeyDictionary[nn.Module, AbstractContextManager[bool]] = WeakKeyDictionary()
_LOCKS_LOCK = Lock()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module into evaluation mode, not compiled and without autocast, while the block runs.

    Other threads wait with their blocks of the same module meanwhile.

    Args:
        module: The module; every part of it returns to the mode that it was in, after an error too.
    """
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault(module, RLock())
    with lock, ExitStack() as stack:
        modes = {part: part.training for part in module.modules()}
        for device in {"cpu", *(p.device.type for p in module.parameters())}:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if any(is_compiled(part) or part._compiled_call_impl is not None for part in modes):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            to_eval(module)
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode


def to_eval(module: nn.Module) -> None:
    """Puts a module into evaluation mode, also what torch.export made, which is in its mode for good.

    Raises:
        ModelError: Its own ``eval`` or ``train`` fails.
    """
    with errors_of_mode("put into evaluation mode"):
        try:
            module.eval()  # a module of the user's may return something else than itself
        except NotImplementedError:
            for part in module.modules():
                part.training = False


def widen(values: Tensor) -> Tensor:
    """Values of half precision in single precision, in which sums and squares are taken; others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def is_compiled(part: nn.Module) -> bool:
    """Whether a module is what torch.compile has made of one."""
    return type(part).__name__ == "OptimizedModule"
