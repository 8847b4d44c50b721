"""The softmax or sigmoid at the end of a network, and the class scores before it.

A network may end in probabilities. Softmax flattens them and their gradients vanish where it is sure, so everything
starts from the scores that its last function was given: these are found by looking at the calls of a forward pass, not
by the names of modules.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: How a network can end: in scores; in a softmax (or its logarithm) or a sigmoid of them; or in probabilities of which
#: only their sum of 1 shows what they are, as the mean of several softmaxes.
SCORES, SOFTMAX, SIGMOID, PROBABILITIES = "scores", "softmax", "sigmoid", "probabilities"

_KINDS = {
    "softmax": SOFTMAX,
    "_softmax": SOFTMAX,
    "_safe_softmax": SOFTMAX,
    "log_softmax": SOFTMAX,
    "_log_softmax": SOFTMAX,
    "sigmoid": SIGMOID,
    "sigmoid_": SIGMOID,
    "logsigmoid": SIGMOID,
    "log_sigmoid": SIGMOID,
    "expit": SIGMOID,
    "special_expit": SIGMOID,
}
#: How far the sum of probabilities may be from 1: half precision, in which a softmax may be given on, has three digits.
_TOLERANCE, _TOLERANCE_OF_HALF = 1e-4, 1e-2
_HALF = (torch.float16, torch.bfloat16)


class FinalActivation(TorchFunctionMode):
    """While entered, remembers the last call of a softmax or sigmoid: what it was given and what came out.

    Attributes:
        was_called: Whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[str, Tensor, Tensor] | None = None
        self.was_called = False

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # as the function
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "").partition(".")[0]
        given = args[0] if args else kwargs.get("input")
        if name not in _KINDS or not isinstance(given, Tensor):
            return function(*args, **kwargs)
        before = given.clone() if name.endswith("_") else given  # one that works in place overwrites what it is given
        output = function(*args, **kwargs)
        if not torch._C._functorch.is_functorch_wrapped_tensor(output):  # of torch.vmap: no tensor outside of it
            self._last = _KINDS[name], before, output
        self.was_called = True
        return output

    def before(self, outputs: Float[Tensor, "n classes"]) -> tuple[str, Float[Tensor, "n classes"]]:
        """How the outputs of the forward pass came about, and the class scores before that.

        Args:
            outputs: What the network gave, finite.

        Returns:
            One of ``SCORES``, ``SOFTMAX``, ``SIGMOID`` and ``PROBABILITIES``, and the scores.
        """
        tolerance = _TOLERANCE_OF_HALF if self.was_called else _TOLERANCE
        sum_to_one = _sum_to_one(outputs, tolerance)
        if self._last is not None:
            kind, before, after = self._last
            if _are_equal(after, outputs) and (kind == SIGMOID or sum_to_one or _sum_to_one(outputs.exp(), tolerance)):
                return kind, before.reshape(outputs.shape)
        return (PROBABILITIES, log_of(outputs)) if sum_to_one else (SCORES, outputs)


def log_of(probabilities: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """The logarithm of probabilities, finite: its softmax are the probabilities."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def _are_equal(after: Tensor, outputs: Tensor) -> bool:
    """Whether outputs are the result of a call, whatever their shape and precision; half was widened since."""
    if after.numel() != outputs.numel():
        return False
    after = after.reshape(outputs.shape)
    return any(torch.equal(after.to(dtype).to(outputs.dtype), outputs) for dtype in (outputs.dtype, *_HALF))


def _sum_to_one(outputs: Tensor, tolerance: float) -> bool:
    """Whether each row is a distribution over the classes."""
    with torch.no_grad():
        return bool((outputs >= 0).all() and ((outputs.double().sum(dim=1) - 1).abs() <= tolerance).all())
