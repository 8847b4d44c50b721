"""How large the experiments on flowers are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vebi.datasets.flowers.folds import FOLDS
from vebi.datasets.flowers.image_ids import IMAGES_PER_CLASS
from vebi.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """How large the experiment is.

    Attributes:
        images_per_class: Rendered images per class.
        folds: How many of the five folds are held out in turn, 1 to 5.
        epochs: Epochs of training.
        scored: Scored images per class and fold, at most.
        mosaics: Mosaics of four classes per fold.
        varied: Images per class and fold in the sensitivity table, at most.
        tuned: Training images per class and fold on which the choices of methods are made, at most.
        mu: Bound on the l1 norm of the weights of each class.
        seed: Seed of rendering, training and mosaics.

    Raises:
        UsageError: A number of folds that a data set does not have.

    Example:
        >>> plan = vebi.benchmark.Plan(images_per_class=120, folds=2, epochs=12)
        >>> plan.scored, plan.mu
        (50, 5.0)
    """

    images_per_class: int = 1000
    folds: int = 5
    epochs: int = 5
    scored: int = 50
    mosaics: int = 50
    varied: int = 20
    tuned: int = 10
    mu: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= FOLDS:
            raise UsageError(f"folds is {self.folds}, but a data set of flowers has 1 to {FOLDS} of them")


FULL = Plan()
QUICK = Plan(images_per_class=120, folds=2, epochs=12, scored=10, mosaics=10, varied=2, tuned=2)


#: By data set and architecture the epochs after which networks reach the accuracy that the experiment asks for.
EPOCHS: Mapping[str, Mapping[str, int]] = {
    "single-6c": {"flowernet": 14, "flower-resnet": 6, "flower-vgg": 6},
    "double-12c": {"flowernet": 40, "flower-resnet": 14, "flower-vgg": 14},
    "shape-6c": {"flowernet": 40, "flower-resnet": 12, "flower-vgg": 12},
}


@dataclass(frozen=True)
class NetworksPlan:
    """How large the experiment on flowers in a meadow is.

    Attributes:
        images: Rendered images per data set, at most 1000 per class.
        folds: How many of the five folds by frame are held out in turn, 1 to 5.
        seeds: Trainings per fold, each from a seed of its own.
        epochs: Epochs of training by data set and architecture; it says which ones there are.
        fitted: Training images that features are selected on, at most.
        scored: Scored images per network, at most.
        few: Images per network for methods and metrics that ask the network many times, at most.
        tuned: Training images per network on which the choices of methods are made, at most.
        mosaics: Mosaics of four classes per network.
        checked: Networks per data set and architecture whose parameters and labels are randomised, at most.
        mu: Bound on the l1 norm of the weights of each class.
        seed: Seed of rendering and mosaics, and the first one of the trainings.

    Raises:
        UsageError: A number of folds that a data set does not have, or no seed.

    Example:
        >>> vebi.benchmark.NetworksPlan().networks
        [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    """

    images: int = 7200
    folds: int = 3
    seeds: int = 2
    epochs: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: dict(EPOCHS))
    fitted: int = 2400
    scored: int = 120
    few: int = 12
    tuned: int = 60
    mosaics: int = 12
    checked: int = 1
    mu: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= FOLDS or self.seeds < 1:
            raise UsageError(
                f"folds is {self.folds} and seeds {self.seeds}, but a data set of flowers has 1 to {FOLDS} folds, and "
                "each needs a seed"
            )

    @property
    def networks(self) -> list[tuple[int, int]]:
        """Fold and seed of every network of a data set and an architecture."""
        return [(fold, self.seed + seed) for seed in range(self.seeds) for fold in range(self.folds)]

    def images_per_class(self, n_classes: int) -> int:
        """Rendered images per class of a data set with so many classes."""
        return min(IMAGES_PER_CLASS, self.images // n_classes)


FULL_NETWORKS = NetworksPlan()
QUICK_NETWORKS = NetworksPlan(
    images=60,
    folds=1,
    seeds=1,
    epochs={variant: {"flowernet": 3, "flower-resnet": 3} for variant in EPOCHS},  # flower-vgg takes as long as both
    fitted=48,
    scored=12,
    few=6,
    tuned=6,
    mosaics=2,
    checked=0,
)


def experiment_command(name: str, plan: Plan | NetworksPlan, methods: Sequence[object]) -> str | None:
    """The command that repeats an experiment.

    Args:
        name: Of the experiment, as ``table1``.
        plan: How large it was.
        methods: Methods beside the built-in ones.

    Returns:
        The command; None where the plan has no option, or a method was made in Python.
    """
    plans = ((FULL, ""), (FULL_NETWORKS, ""), (QUICK, " --quick"), (QUICK_NETWORKS, " --quick"))
    option = next((text for planned, text in plans if planned == plan), None)
    # an absolute path says where files lie on one machine
    specs = [
        f" --method {Path(spec).name if Path(spec).is_absolute() else spec}"
        for spec in methods
        if isinstance(spec, str)
    ]
    return f"vebi bench {name}{option}{''.join(specs)}" if option is not None and len(specs) == len(methods) else None
