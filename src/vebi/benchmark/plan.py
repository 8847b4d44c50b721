"""How large the experiment of the paper is."""

from dataclasses import dataclass

from vebi.datasets.flowers.folds import FOLDS
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
    mu: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= FOLDS:
            raise UsageError(f"folds is {self.folds}, but a data set of flowers has 1 to {FOLDS} of them")


FULL = Plan()
QUICK = Plan(images_per_class=120, folds=2, epochs=12, scored=10, mosaics=10, varied=2)
