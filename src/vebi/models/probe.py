"""What a network gives for two images of noise: how it ends, and whether an image's scores are its own."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vebi.errors import ModelError, join_names
from vebi.models.final_activation import PROBABILITIES, SCORES, SIGMOID, FinalActivation
from vebi.models.model_errors import errors_of_parts

#: Classes whose scores are recorded, at most.
RECORDED = 16
#: By how much of their spread the scores of an image may differ from pass to pass: more is said, and more is refused.
SAID, REFUSED = 0.001, 0.01
#: The same for networks in half precision, which round more.
SAID_OF_HALF, REFUSED_OF_HALF = 0.02, 0.1
#: By how much of their spread scores may differ where they were computed by other kernels, or in other precision.
SAME = 0.02

_CHANCE = (
    "the model draws random numbers in evaluation mode: what is found of an image may be another thing in another pass"
)

#: Inputs -> what the network gives, checked for its shape.
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Probe:
    """What is known of a network from two images of noise.

    Attributes:
        ending: How the network ends, see ``final_activation``.
        classes: How many class scores it gives.
        scores: The class scores of both images, of up to 16 classes each, evenly spaced over all.
        changing: What of its state a forward pass changes, by name, such as a counter.
        trains: Whether a forward pass puts a part of it into training mode.
        notes: What a user should know.
    """

    ending: str
    classes: int
    scores: tuple[float, ...]
    changing: tuple[str, ...]
    trains: bool
    notes: tuple[str, ...]


def probe(module: nn.Module, run: Run, inputs: Float[Tensor, "2 c h w"]) -> Probe:
    """Passes an image through a network by itself, and then with another one.

    Args:
        module: The network, in evaluation mode.
        run: What runs it.
        inputs: Two images, see ``noise``, on its device.

    Returns:
        What came out.

    Raises:
        ModelError: The scores of an image depend on the images beside it or on chance.
    """
    state, chance = versions(module), _chance(inputs.device)
    with torch.no_grad(), FinalActivation() as final:
        alone = final.before(run(inputs[:1].clone()))[1]
    with torch.no_grad(), FinalActivation() as final:
        outputs = run(inputs)  # the last time: a network may change its input in place
        ending, together = final.before(outputs)
    if ending == PROBABILITIES and not final.was_called and torch.equal(outputs[0], outputs[1]):
        ending, together, alone = SCORES, outputs, outputs[:1]  # a constant can sum up to 1 by chance
    spread = _spread(together)
    deviation = float((together[:1] - alone).abs().max()) / spread
    is_half = next((p.dtype for p in module.parameters()), torch.float32) in (torch.float16, torch.bfloat16)
    if deviation > (REFUSED_OF_HALF if is_half else REFUSED):
        raise ModelError(
            f"the class scores of an image change by {deviation:.1%} of their spread with the images beside it, or "
            f"from one pass to the next ({_restless(module)}): give a model whose eval() switches that off"
        )
    if ending == SCORES and _are_between(outputs):
        outputs = _strained(run, inputs)
    changing = tuple(name for name, version in versions(module).items() if state.get(name) != version)
    is_random = any(map(operator.ne, chance, _chance(inputs.device)))
    notes = (
        _note_of(ending, outputs),
        _note_of_change(deviation, is_half),
        _CHANCE if is_random else None,
        f"a forward pass changes {join_names(changing)}: not counted among the weights" if changing else None,
    )
    chosen = np.linspace(0, together.shape[1] - 1, min(RECORDED, together.shape[1])).round().astype(int)
    scores = tuple(float(f"{score:.6g}") for score in together[:, chosen].flatten().tolist())
    trains = any(part.training for part in module.modules())
    return Probe(ending, together.shape[1], scores, changing, trains, tuple(note for note in notes if note))


def are_same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two networks with the same weights compute the same, as far as a probe can tell."""
    if len(one) != len(other):
        return False
    first, second = (torch.tensor(scores, dtype=torch.float64, device="cpu") for scores in (one, other))
    return float((first - second).abs().max()) <= SAME * max(_spread(first), _spread(second))


def noise(shape: tuple[int, int, int]) -> Float[Tensor, "2 c h w"]:
    """Two inputs C x H x W, the same on every machine, of coarse and fine noise."""
    generator = torch.Generator("cpu").manual_seed(0)
    shapes = (2, shape[0], 4, 4), (2, *shape)
    coarse, fine = (torch.randn(s, generator=generator, dtype=torch.float32, device="cpu") for s in shapes)
    return F.interpolate(coarse, shape[1:], mode="nearest") + fine / 2


@errors_of_parts()
def versions(module: nn.Module) -> dict[str, tuple[int, int]]:
    """By name of a part of the state what becomes another one where that is changed."""
    return {name: (value.data_ptr(), value._version) for name, value in module.state_dict().items()}


def _chance(device: torch.device) -> list[object]:
    """The states of the random number generators of torch and NumPy."""
    on_device = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    states = [torch.get_rng_state(), *on_device]
    of_numpy = np.random.get_state(legacy=False)["state"]
    return [of_numpy["key"].tobytes(), of_numpy["pos"], *(s.numpy().tobytes() for s in states)]


def _spread(scores: Tensor) -> float:
    """How far scores lie apart: their standard deviation, but not less than what rounding leaves of their size."""
    return max(float(scores.double().std()), 1e-4 * float(scores.abs().max()), 1e-30)


def _restless(module: nn.Module) -> str:
    """What may be the reason of scores that change."""
    parts = [
        (name or "the network itself", part)
        for name, part in module.named_modules()
        if part.training or (isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None)
    ]
    if not parts:
        return "no part of it is in training mode, so its code does it"
    shown = ", ".join(f"{name}, a {type(part).__name__}" for name, part in parts[:3])
    return f"{shown}{' and more' if len(parts) > 3 else ''} in training mode or without running statistics"


def _note_of(ending: str, outputs: Tensor) -> str | None:
    if ending == PROBABILITIES:
        return (
            "the model gives probabilities, and no softmax at its end can be taken off: their logarithms are taken for "
            "class scores"
        )
    if ending != SCORES:
        kind = "sigmoid" if ending == SIGMOID else "softmax"
        return f"the model ends in a {kind}: class scores are what it is given, probabilities are what it gives"
    if _are_between(outputs):
        return (
            "all class scores are from 0 to 1, as probabilities are, and no sigmoid at the end of the model can be "
            "taken off: give a model that ends before it, if it has one"
        )
    return None


def _strained(run: Run, inputs: Tensor) -> Tensor:
    """What the network gives for inputs that are larger than any image: only what is bounded stays from 0 to 1."""
    with torch.no_grad():
        try:
            return run(torch.cat([scale * inputs for scale in (-1, 10, -30, 100)]))
        except ModelError:  # of half precision, say
            return torch.full((1, 1), torch.inf)


def _are_between(outputs: Tensor) -> bool:
    """Whether all are from 0 to 1, and not because of a ReLU, of which hardly one would come as close to 1 as this."""
    return bool(((outputs >= 0) & (outputs <= 1)).all() and ((outputs > 0).all() or outputs.max() > 0.999))


def _note_of_change(deviation: float, is_half: bool) -> str | None:
    if deviation <= (SAID_OF_HALF if is_half else SAID):
        return None
    return f"the class scores of an image change by {deviation:.1%} of their spread with the images beside it"
