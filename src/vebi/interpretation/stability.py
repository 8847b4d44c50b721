"""How often the same features are selected from half of the pictures, and which others could stand in for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from vebi.interpretation.partition import Split
from vebi.lasso.gram import Sums
from vebi.lasso.subsampling import CORRELATED, HALVES, correlations, select_again
from vebi.progress import Progress


@dataclass(frozen=True)
class Stability:
    """How far the choice of features can be trusted.

    ``shares`` classes x features: the share of ``halves`` half samples in which a class selects the feature at the same
    mu; ``joint`` the same for the feature or any of its stand-ins. ``stand_ins``: for every feature the columns that
    are correlated with it above 0.95, and how much.
    """

    halves: int
    shares: Float[np.ndarray, "classes features"] = field(repr=False)
    joint: Float[np.ndarray, "classes features"] = field(repr=False)
    stand_ins: tuple[tuple[tuple[int, float], ...], ...] = field(repr=False)


def stability(
    split: Split,
    mu: float,
    columns: Sequence[int],
    weights: Float[np.ndarray, "classes features"],
    progress: Progress | None = None,
) -> Stability | None:
    """How often the features in ``columns``, selected with ``weights`` at ``mu``, are selected again; None for a table
    of fewer than two pictures. ``progress`` is called with (steps done, steps)."""
    if split.parts < 2:
        return None
    stand_ins = _stand_ins(split.sums, columns)
    shares, joint, steps = np.zeros(weights.shape), np.zeros(weights.shape), HALVES * split.classes
    done = 0
    for group, parts in split.groups():
        classes = group.classes
        told = progress and (lambda k, _, done=done, n=len(classes): progress(done + k * n, steps))
        again = select_again(parts, mu, signed=split.signed, progress=told)
        done += HALVES * len(classes)
        place = {int(column): k for k, column in enumerate(group.columns)}
        for i, column in enumerate(columns):
            if column in place:
                some = [place[c] for c in (column, *(c for c, _ in stand_ins[i])) if c in place]
                shares[classes, i] = again[:, :, place[column]].mean(axis=0)
                joint[classes, i] = again[:, :, some].any(axis=2).mean(axis=0)
    own = weights != 0
    return Stability(HALVES, np.where(own, shares, 0), np.where(own, joint, 0), stand_ins)


def _stand_ins(sums: Sums, columns: Sequence[int]) -> tuple[tuple[tuple[int, float], ...], ...]:
    """For each column the others that are correlated with it, the closest first."""
    found = []
    for start in range(0, len(columns), 256):
        some = columns[start : start + 256]  # at a time, since each has a row over all features
        for own, row in zip(some, correlations(sums, some), strict=True):
            close = [int(c) for c in np.flatnonzero(row > CORRELATED) if c != own]
            close.sort(key=lambda c, row=row: -row[c])
            found.append(tuple((c, min(1.0, float(row[c]))) for c in close))
    return tuple(found)
