"""The forms of the mu-Lasso: the scale of its columns, and whether it has a constant term.

The problem of the paper has none and takes the columns as they are. There columns that hardly vary stand in for the
constant term: they are large and tell nothing apart. With means taken off columns and targets there is a constant term,
and with columns divided by their standard deviation (above a floor) a weight says what one deviation is worth.

Reference:
    Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, eq. 1 (plain columns). Hastie,
    Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section 3.4 (standardised ones).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vebi.errors import UsageError
from vebi.lasso.moments import BLOCK_COLUMNS, Moments

PLAIN, CENTRED, STANDARDISED = "plain", "centred", "standardised"
SCALINGS = (PLAIN, CENTRED, STANDARDISED)
#: A column whose standard deviation is a smaller share of its mean is constant, up to the rounding of single precision.
CONSTANT = 1e-5
#: Share of the median standard deviation whose square is added to every variance: a column that is nearly always 0
#: would else be blown up, and the one image in which it is not would decide.
FLOOR = 0.5


@dataclass(frozen=True, eq=False)
class Scaling:
    """How the columns and targets of a problem come from those of a table: z = (x - center) / scale, t = l - constant.

    So the score of a class for a row x is constant + w'z.

    Attributes:
        center: What is taken off every column, p; 0 where there is no constant term.
        scale: What it is then divided by, p; infinity for a column that is constant and left out, 1 without scaling.
        constants: What is taken off the targets of every class, c.

    Example:
        >>> moments = vebi.lasso.accumulate([("a", np.array([[1.0], [3.0]]), np.eye(2))], features=1, classes=2)
        >>> scaling = vebi.lasso.make_problem(moments, "standardised", floor=0.0).scaling
        >>> scaling.apply(np.array([[1.0], [3.0], [5.0]])).ravel().tolist()
        [-1.0, 1.0, 3.0]
    """

    center: Float[np.ndarray, " p"]
    scale: Float[np.ndarray, " p"]
    constants: Float[np.ndarray, " c"]

    def apply(self, x: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
        """The columns of the problem for rows of the table, float64."""
        z: Float[np.ndarray, "n p"] = (x - self.center) / self.scale
        return z

    def columns(self, indices: Int[np.ndarray, " k"]) -> "Scaling":
        """The scaling of some columns."""
        return Scaling(self.center[indices], self.scale[indices], self.constants)

    def line(
        self, weights: Float[np.ndarray, "m p"], j: int
    ) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
        """Slopes and constants of the scores of class ``j`` as functions of the columns of the table.

        Args:
            weights: Weights w of the problem, a row per solution.
            j: The class.

        Returns:
            Slopes, m x p, and constants, m: the score of a row x is slopes'x + constant.
        """
        slopes = weights / self.scale
        return slopes, self.constants[j] - slopes @ self.center


@dataclass(frozen=True, eq=False)
class Problem:
    """The mu-Lasso of all classes: minimise 1/2 ||Z w - t||^2 subject to ||w||_1 <= mu, in products alone.

    Attributes:
        gram: G = Z'Z, p x p.
        b: Z'T, p x c.
        energy: The diagonal of T'T, c.
        means: Means of the columns of Z, p: 0 where there is a constant term.
        rows: Number of rows.
        scaling: How Z and T come from the table.
        floor: What was added to the squares of standard deviations, as its root; 0 where columns are not standardised.

    Example:
        >>> moments = vebi.lasso.accumulate([("a", np.array([[1.0], [3.0]]), np.eye(2))], features=1, classes=2)
        >>> vebi.lasso.make_problem(moments, "plain").gram.round(9).tolist()
        [[10.0]]
    """

    gram: Float[np.ndarray, "p p"]
    b: Float[np.ndarray, "p c"]
    energy: Float[np.ndarray, " c"]
    means: Float[np.ndarray, " p"]
    rows: int
    scaling: Scaling
    floor: float = 0.0

    @property
    def absent(self) -> Bool[np.ndarray, " c"]:
        """Whether a class has no rows, so that its score says nothing."""
        absent: Bool[np.ndarray, " c"] = (self.energy == 0) & (self.scaling.constants == 0)
        return absent


def make_problem(moments: Moments, form: str, *, floor: float | None = None, overwrite: bool = False) -> Problem:
    """The problem of a form.

    Args:
        moments: Of the table.
        form: ``plain``: columns and targets as they are, without a constant term, as the paper has it. ``centred``:
            less their means, which is a constant term. ``standardised``: columns then divided by the root of their
            variance and the square of ``floor``, those that are constant left out.
        floor: Half of the median standard deviation by default; for some columns or rows of a table that of the table.
        overwrite: Whether G and b may take the place of those of the moments, which are of no use then.

    Returns:
        The problem.

    Raises:
        UsageError: There is no such form.

    Reference:
        Oramas, Wang and Tuytelaars, ICLR 2019, eq. 1. Tusher, Tibshirani and Chu, "Significance analysis of microarrays
        applied to the ionizing radiation response", PNAS 98, 2001 (the floor).

    Example:
        >>> moments = vebi.lasso.accumulate([("a", np.array([[1.0], [3.0]]), np.eye(2))], features=1, classes=2)
        >>> problem = vebi.lasso.make_problem(moments, "standardised", floor=0.0)
        >>> problem.gram.tolist(), problem.b.tolist(), problem.scaling.constants.tolist()
        ([[2.0]], [[-1.0, 1.0]], [0.5, 0.5])
    """
    if form not in SCALINGS:
        raise UsageError(f"the form is {form!r}: choose one of {', '.join(SCALINGS)}")
    gram, b = (moments.gram, moments.b) if overwrite else (moments.gram.copy(), moments.b.copy())
    n, means, shares = moments.rows, moments.means, moments.label_means
    if form == PLAIN:
        for start in range(0, len(gram), BLOCK_COLUMNS):
            rows = slice(start, start + BLOCK_COLUMNS)
            gram[rows] += np.sqrt(n) * means[rows, None] * (np.sqrt(n) * means)
        b += n * means[:, None] * shares
        none = Scaling(np.zeros_like(means), np.ones_like(means), np.zeros_like(shares))
        return Problem(gram, b, moments.label_energy + n * np.square(shares), means, n, none)
    scale = np.ones_like(means)
    added = 0.0
    if form == STANDARDISED:
        deviations = np.sqrt(np.maximum(np.diagonal(gram), 0) / max(n, 1))
        varies = deviations > CONSTANT * np.abs(means)
        if floor is None:
            floor = FLOOR * float(np.median(deviations[varies])) if varies.any() else 0.0
        added = floor
        scale = np.where(varies, np.hypot(deviations, added), np.inf)
        for start in range(0, len(gram), BLOCK_COLUMNS):
            rows = slice(start, start + BLOCK_COLUMNS)
            gram[rows] /= scale[rows, None] * scale
        b /= scale[:, None]
    return Problem(gram, b, moments.label_energy, np.zeros_like(means), n, Scaling(means, scale, shares), added)
