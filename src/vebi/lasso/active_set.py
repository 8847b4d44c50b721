"""The active columns of a regularisation path, with a Cholesky factor of their G_AA that is updated, not made anew."""

import numpy as np
from jaxtyping import Float
from scipy.linalg.lapack import dpotrs, dtrtrs  # the bare routines: their wrappers take longer than small systems

#: A column whose part outside the span of the active ones is smaller than this share of it depends on them.
DEPENDENT = 1e-15


class CholeskyFactor:
    """The lower triangular factor of G_AA, in one growing array while columns come and go."""

    def __init__(self) -> None:
        self._array = np.zeros((16, 16))
        self.size = 0

    def _lower(self) -> np.ndarray:
        return self._array[: self.size, : self.size]

    def append(self, cross: np.ndarray, square: float) -> bool:
        """Adds a column, unless it depends on the others.

        Args:
            cross: Its products with the others, k.
            square: Its product with itself.

        Returns:
            Whether it was added.
        """
        row = dtrtrs(self._lower(), cross, lower=1)[0] if self.size else cross
        rest = square - row @ row
        if not rest > DEPENDENT * square:
            return False
        if self.size == len(self._array):
            larger = np.zeros((2 * self.size,) * 2)
            larger[: self.size, : self.size] = self._array
            self._array = larger
        self._array[self.size, : self.size] = row
        self._array[self.size, self.size] = np.sqrt(rest)
        self.size += 1
        return True

    def remove(self, index: int) -> None:
        """Removes a column: the rows below it move up, and rotations make them triangular again."""
        low = np.delete(self._lower(), index, axis=0)
        for k in range(index, self.size - 1):
            a, b = low[k, k], low[k, k + 1]
            length = np.hypot(a, b)
            rotation = np.array([[a, -b], [b, a]]) / length
            low[k:, k : k + 2] = low[k:, k : k + 2] @ rotation
        self.size -= 1
        self._array[: self.size, : self.size] = np.tril(low[:, : self.size])

    def solve(self, right: np.ndarray) -> np.ndarray:
        """The solution z of G_AA z = ``right``, k."""
        solution: np.ndarray = dpotrs(self._lower(), right, lower=1)[0]
        return solution


class ActiveSet:
    """The active columns in the order in which they entered.

    Args:
        gram: G, p x p, of which only the rows of columns that become active are read.

    Attributes:
        columns: Indices of the columns.
        signs: Signs of their weights, 1 or -1.
        weights: Their weights.
    """

    def __init__(self, gram: Float[np.ndarray, "p p"]) -> None:
        self._gram = gram
        self._rows = np.zeros((16, len(gram)))
        self._factor = CholeskyFactor()
        self.columns: list[int] = []
        self.signs, self.weights = np.zeros(0), np.zeros(0)

    def add(self, column: int, sign: float) -> bool:
        """Adds a column with weight 0; False where it depends on the others and is not added."""
        row, k = self._gram[column], len(self.columns)
        if not self._factor.append(row[self.columns], float(row[column])):
            return False
        if k == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[k] = row
        self.columns.append(column)
        self.signs, self.weights = np.append(self.signs, sign), np.append(self.weights, 0.0)
        return True

    def remove(self, index: int) -> int:
        """Removes the column at ``index`` of ``columns`` and returns it."""
        self._factor.remove(index)
        self._rows[index : len(self.columns) - 1] = self._rows[index + 1 : len(self.columns)]
        self.signs, self.weights = np.delete(self.signs, index), np.delete(self.weights, index)
        return self.columns.pop(index)

    def direction(self) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " p"]]:
        """How fast the weights grow, G_AA^-1 s, and c falls, while lambda falls by 1."""
        grow = self._factor.solve(self.signs)
        return grow, grow @ self._rows[: len(self.columns)]
