"""The operators of a backward pass, replaced one by one while it runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch.utils._python_dispatch import TorchDispatchMode


@runtime_checkable
class Operator(Protocol):
    """An ATen operator, as torch hands it to a dispatch mode."""

    @property
    def overloadpacket(self) -> object:
        """What all overloads of the operator share, such as ``torch.ops.aten.threshold_backward``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operator."""


#: (operator, arguments, keyword arguments) -> what the operator returns, or something in its place.
Replacement = Callable[[Operator, tuple[Any, ...], Mapping[str, Any]], object]


class BackwardMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """While entered, every operator that torch runs goes through ``replacement``.

    Inside of ``torch.autograd.grad`` these are the backward operators of whatever ran forward: a ReLU is
    ``threshold_backward``, be it a module, functional, in place, reused or traced.

    Args:
        replacement: Called for every operator, outside of the mode, so that it may run operators itself.
    """

    def __init__(self, replacement: Replacement):
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self._replacement = replacement

    def __torch_dispatch__(
        self,
        operator: Operator,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        return self._replacement(operator, args, kwargs or {})
