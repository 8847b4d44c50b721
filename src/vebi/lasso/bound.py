"""The bound on the l1 norm of the weights of a class: given, or where its path has as many features as asked for.

A given bound belongs to its descriptor: on another scale, or with other layers, it selects other numbers of features. A
number of features means the same everywhere.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError
from vebi.lasso.certificate import check_mu
from vebi.lasso.path import iter_knots, knot_limit
from vebi.lasso.scaling import Problem

#: The bound lies so far below the knot at which one feature more enters, as a share, that rounding does not reach it.
BELOW = 1e-9


@dataclass(frozen=True)
class Bound:
    """The bound on ||w||_1 of every class: give one of the two.

    Attributes:
        mu: The bound itself, above 0, the same for all classes.
        features: The number of features that a class has at most, at least 1: the bound is the largest up to which its
            path has no more. Where the first ones enter together it has as many as enter.

    Raises:
        UsageError: Both or none are given, or a number cannot be.

    Example:
        >>> moments = vebi.lasso.accumulate([("a", np.diag([3.0, 2.0]), np.ones((2, 1)))], features=2, classes=1)
        >>> vebi.lasso.Bound(features=1).mus(vebi.lasso.make_problem(moments, "plain")).round(6).tolist()
        [0.111111]
    """

    mu: float | None = None
    features: int | None = None

    def __post_init__(self) -> None:
        if (self.mu is None) == (self.features is None):
            raise UsageError("give either mu or a number of features")
        if self.mu is not None:
            check_mu(self.mu)
        elif not isinstance(self.features, int) or isinstance(self.features, bool) or self.features < 1:
            raise UsageError(f"features is {self.features!r}, but a class has a whole number of features, above 0")

    def of_class(self, gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], *, signed: bool = False) -> float:
        """The bound of one class.

        Args:
            gram: G, p x p, float64.
            b: Its column of b, p.
            signed: Whether weights may be below 0.

        Returns:
            A number above 0; where no feature enters its path any will do, and it is 1.
        """
        if self.mu is not None:
            return self.mu
        assert self.features is not None
        norm = 0.0
        for knot in islice(iter_knots(gram, b, signed=signed), knot_limit(b)):
            if norm > 0 and len(knot.columns) > self.features:
                break
            norm = knot.norm
        return norm * (1 - BELOW) if norm > 0 else 1.0

    def mus(self, problem: Problem, *, signed: bool = False) -> Float[np.ndarray, " c"]:
        """The bounds of all classes of a problem."""
        return np.array([self.of_class(problem.gram, b, signed=signed) for b in problem.b.T])
