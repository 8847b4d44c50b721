"""The state dict in what training code saves: where it lies, and the names in it that are those of a network."""

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

#: Where training code keeps the weights in its checkpoints; what follows the training smoothly comes first, but for a
#: teacher, which is another network where there is one beside it.
STATES = (
    "checkpoint",
    "model_ema",
    "ema",
    "state_dict_ema",
    "ema_state_dict",
    "params_ema",
    "shadow",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "teacher",
)
#: What it puts before their names: DataParallel, torch.compile, Lightning and the like.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
#: What torch.compile puts before the names of the part that it compiles, which need not be all of a network.
COMPILED = "_orig_mod."
#: How many of them a file may have one in the other: what holds itself would have no end.
MOST_STATES, MOST_PREFIXES = 100, 10


def find_state(content: object) -> tuple[dict[str, Tensor], tuple[str, ...]] | None:
    """The first state dict that is not empty in what a file holds, and the keys that lead to it.

    Args:
        content: Whatever was saved. A dictionary may hold itself.

    Returns:
        The tensors by name and the keys, each of ``STATES``; None where there is no state dict.
    """
    waiting: list[tuple[object, tuple[str, ...]]] = [(content, ())]
    seen = set[int]()
    while waiting:
        part, inside = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        if part and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in part.items()):
            return part, inside
        if len(inside) < MOST_STATES:
            waiting += [(part[key], (*inside, key)) for key in reversed(STATES) if key in part]
    return None


@dataclass(frozen=True, eq=False)
class FittedState:
    """A state dict under the names of a network, as far as it has them.

    Attributes:
        tensors: By name.
        prefix: What was taken off all of the names.
        left_out: The names that do not begin with it.
        compiled: Whether parts are compiled in the file or in the network alone.
    """

    tensors: dict[str, Tensor]
    prefix: str
    left_out: tuple[str, ...]
    compiled: bool


def fit_names(state: dict[str, Tensor], needed: Collection[str]) -> FittedState:
    """Takes a prefix off the names of a state dict where more of them are then needed.

    What does not begin with it, as the buffers of a loss or a metric, is left out where all that is needed does.

    Args:
        state: The tensors by name.
        needed: The names in the network.
    """
    own = {_plain(name): name for name in needed}
    best, most = FittedState(state, "", (), compiled=False), (-1, -1)
    for prefix in _prefixes(state):
        rests = {name: name.removeprefix(prefix) for name in state if name.startswith(prefix)}
        tensors = {own.get(_plain(rest), rest): state[name] for name, rest in rests.items()}
        needed_ones, unchanged = len(tensors.keys() & own.values()), len(set(rests.values()) & set(needed))
        is_whole = len(rests) == len(state) or needed_ones == len(own)
        if is_whole and len(tensors) == len(rests) and (needed_ones, unchanged) > most:
            left_out = tuple(name for name in state if name not in rests)
            compiled = tensors.keys() != set(rests.values())
            as_needed = tensors if prefix or compiled else state  # which may say of which versions its parts are
            best, most = FittedState(as_needed, prefix, left_out, compiled), (needed_ones, unchanged)
    return best


def _prefixes(names: Collection[str]) -> list[str]:
    """None, and all that are made of ``PREFIXES`` and that some name begins with, the shorter ones first."""
    level, prefixes = [""], [""]
    for _ in range(MOST_PREFIXES):
        level = [p + more for p in level for more in PREFIXES if any(name.startswith(p + more) for name in names)]
        prefixes += level
    return prefixes


def _plain(name: str) -> str:
    """A name as it is without torch.compile."""
    return name.replace(COMPILED, "")
