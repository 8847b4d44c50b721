"""How well solutions hold on images that had no part in them: R² and fidelity in five folds."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from vebi.interpretation.partition import FOLDS, PartitionedTable
from vebi.lasso.cross_validation import r2
from vebi.lasso.moments import merge
from vebi.lasso.path import interpolate_path, lasso_path
from vebi.lasso.scaling import Problem, make_problem
from vebi.progress import Progress

#: From G and b of a class to the m bounds on ||w||_1 at which it is solved.
BoundsOf = Callable[[Float[np.ndarray, "p p"], Float[np.ndarray, " p"]], Float[np.ndarray, " m"]]
#: The scores of a class as functions of the columns of the table: slopes, m x p, and constants, m.
_Lines = tuple[sparse.csr_array, Float[np.ndarray, " m"]]


def cross_validate(
    table: PartitionedTable, bounds_of: BoundsOf, count: int, progress: Progress | None = None
) -> tuple[Float[np.ndarray, "folds m classes"], Float[np.ndarray, "folds m"]]:
    """Solves all classes without a fold, and scores them on it, for each fold.

    Args:
        table: The table, in parts.
        bounds_of: The bounds at which a class is solved.
        count: m, their number.
        progress: Called with (steps done, steps).

    Returns:
        R² of the targets of each class, at most 1, and the share of the images whose predicted class is the one with
        the largest score. NaN where there are too few images for five folds; R² also where a fold, or all others, have
        no image of the class, or no other.
    """
    scores = np.full((FOLDS, count, table.classes), np.nan)
    lines: list[list[_Lines]] = [[] for _ in range(FOLDS)]
    done = 0
    for block, parts in table.blocks() if table.parts >= FOLDS else ():
        for fold in range(FOLDS):
            held_out = merge(parts[fold::FOLDS])
            fitted = merge([part for k, part in enumerate(parts) if k % FOLDS != fold])
            problem = make_problem(fitted, table.form, floor=table.problem.floor, overwrite=True)
            for i, j in enumerate(block.classes):
                w = _solve(problem, i, bounds_of, block.screened.get((fold, j)), table.signed)
                slopes, constants = problem.scaling.line(w, i)
                if 0 < fitted.label_means[i] < 1:  # else nothing could be learned of the class
                    scores[fold, :, j] = r2(slopes, constants, held_out, i)
                lines[fold].append((_expand_columns(slopes, block.columns, table.features), constants))
            done += len(block.classes)
            if progress:
                progress(done, FOLDS * table.classes)
    return scores, _fidelity(table, lines, count)


def _solve(
    problem: Problem, i: int, bounds_of: BoundsOf, columns: Int[np.ndarray, " k"] | None, signed: bool
) -> Float[np.ndarray, "m p"]:
    """The solutions of a class at its bounds, over some columns or all."""
    gram, b = problem.gram, problem.b[:, i]
    if columns is not None:
        gram, b = gram[np.ix_(columns, columns)], b[columns]
    bounds = bounds_of(gram, b)
    solutions = interpolate_path(lasso_path(gram, b, bounds.max(), signed=signed), bounds, len(b))
    if columns is None:
        return solutions
    w = np.zeros((len(bounds), len(problem.gram)))
    w[:, columns] = solutions
    return w


def _expand_columns(w: np.ndarray, columns: np.ndarray, features: int) -> sparse.csr_array:
    """Weights over some columns as weights over all, rows x features."""
    rows, indices = np.nonzero(w)
    return sparse.csr_array((w[rows, indices], (rows, columns[indices])), shape=(len(w), features))


def _fidelity(table: PartitionedTable, lines: Sequence[Sequence[_Lines]], count: int) -> Float[np.ndarray, "folds m"]:
    """The share of the held-out images whose predicted class is the one with the largest score."""
    if table.parts < FOLDS:
        return np.full((FOLDS, count), np.nan)
    same, total, start = np.zeros((FOLDS, count)), np.zeros((FOLDS, 1)), 0
    slopes = [sparse.vstack([s for s, _ in fold]) for fold in lines]  # class by class, and mu by mu within it
    constants = [np.concatenate([k for _, k in fold])[:, None] for fold in lines]
    absent = table.problem.absent[:, None, None]
    for shard in table.table:
        stop = start + len(shard["predictions"])
        fold_of_row = table.part_of_row[start:stop] % FOLDS
        for fold in range(FOLDS):
            rows = fold_of_row == fold
            scores = slopes[fold] @ shard["descriptors"][rows].T + constants[fold]
            largest = np.where(absent, -np.inf, scores.reshape(table.classes, count, -1)).argmax(axis=0)
            same[fold] += (largest == shard["predictions"][rows]).sum(axis=1)
            total[fold] += rows.sum()
        start = stop
    return same / total
