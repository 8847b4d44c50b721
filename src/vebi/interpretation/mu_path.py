"""What is selected along mu, and what it is worth on pictures that were held out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from vebi.interpretation.partition import FOLDS, Split, goes_on
from vebi.lasso.cross_validation import explained_variance, known, mean, within_one_error
from vebi.lasso.gram import Sums, merge
from vebi.lasso.path import Knot, between, trace
from vebi.progress import Progress

#: Bounds mu that are looked at: ten a decade, over three decades at most.
PER_DECADE, DECADES = 10, 3
#: ... and to so many times the bound at which the path of the median class ends: little happens there.
BEYOND = 3


@dataclass(frozen=True)
class MuPath:
    """What is selected along ``mus`` (m bounds), and what it is worth on pictures that were held out.

    ``candidates`` are the bounds from which one can be chosen; others are there because one was asked for.
    ``explained`` folds x m x classes: the explained variance of a class's labels, NaN where the fold has no picture of
    it or no other; ``agreement`` folds x m: the share of pictures for which the largest x'w is that of the predicted
    class. Of the whole table, one row a class and feature that it selects anywhere: ``owners`` the class, ``columns``
    the feature's place in a descriptor, ``enters`` the ||w||_1 at which it first enters, ``weights`` rows x m, zero
    for a feature that comes and goes between two bounds.
    ``ends`` the ||w||_1 at which the path of a class ends, infinity where it goes on.
    """

    mus: Float[np.ndarray, " m"]
    candidates: Bool[np.ndarray, " m"] = field(repr=False)
    explained: Float[np.ndarray, "folds m classes"] = field(repr=False)
    agreement: Float[np.ndarray, "folds m"] = field(repr=False)
    owners: Int[np.ndarray, " rows"] = field(repr=False)
    columns: Int[np.ndarray, " rows"] = field(repr=False)
    enters: Float[np.ndarray, " rows"] = field(repr=False)
    weights: Float[np.ndarray, "rows m"] = field(repr=False)
    ends: Float[np.ndarray, " classes"] = field(repr=False)

    @property
    def validated(self) -> bool:
        """Whether there were pictures enough to hold some out."""
        return len(known(self.scores)) > 0

    @property
    def scores(self) -> Float[np.ndarray, "folds m"]:
        """The explained variance of every fold, its mean over the classes that have one."""
        there = np.isfinite(self.explained)
        count = there.sum(axis=2)
        return np.where(count > 0, np.where(there, self.explained, 0).sum(axis=2) / np.maximum(count, 1), np.nan)

    @property
    def best(self) -> float:
        """The candidate of the best held-out explained variance."""
        return float(self.mus[self.candidates][int(mean(self.scores)[0][self.candidates].argmax())])

    @property
    def recommended(self) -> float:
        """The smallest candidate within one standard error of the best held-out explained variance."""
        return float(self.mus[self.candidates][within_one_error(self.scores[:, self.candidates])])

    @property
    def open(self) -> bool:
        """Whether the best candidate is the last although some path goes on: a larger one might be better."""
        return self.best == self.mus[self.candidates][-1] and bool(np.isinf(self.ends).any())

    def nearest(self, mu: float) -> int:
        """The place of the bound nearest to ``mu``, which is that bound itself where it can bind."""
        return int(np.abs(np.log(self.mus / mu)).argmin())

    def span(self, owner: int, column: int) -> tuple[float, float] | None:
        """The lowest and the highest of the bounds at which a class selects a feature; None where it never does."""
        here = np.flatnonzero(self.weights[(self.owners == owner) & (self.columns == column)].any(axis=0))
        return (float(self.mus[here[0]]), float(self.mus[here[-1]])) if len(here) else None

    def counts(self) -> Int[np.ndarray, "m classes"]:
        """Features that a class selects."""
        found = np.zeros((len(self.mus), len(self.ends)), np.int64)
        for owner, weights in zip(self.owners, self.weights, strict=True):
            found[:, owner] += weights != 0
        return found


def mu_path(split: Split, mu: float | None = None, progress: Progress | None = None) -> MuPath:
    """The path of a table; ``mu`` is a bound that it reaches. ``progress`` is called with (steps done, steps)."""
    mus, candidates = bounds(split.beginnings, mu)
    explained = np.full((FOLDS, len(mus), split.classes), np.nan)
    weights: list[list[sparse.csr_array]] = [[] for _ in range(FOLDS)]
    done = 0
    for group, parts in split.groups() if split.parts >= FOLDS else ():
        for fold in range(FOLDS):
            held_out = merge(parts[fold::FOLDS])
            learnt = merge([part for k, part in enumerate(parts) if k % FOLDS != fold])
            for i, j in enumerate(group.classes):
                w = _along(learnt, i, mus, group.screened.get((fold, j)), split.signed)
                explained[fold, :, j] = explained_variance(w, held_out, i)
                weights[fold].append(_spread(w, group.columns, split.features))
            done += len(group.classes)
            if progress:
                progress(done, FOLDS * split.classes)
    return MuPath(
        mus=mus,
        candidates=candidates,
        explained=explained,
        agreement=_agreement(split, weights, len(mus)),
        **_whole(split, mus),
        ends=np.array([np.inf if goes_on(path) else path[-1].norm for path in split.beginnings]),
    )


def _along(
    sums: Sums, i: int, mus: np.ndarray, some: Int[np.ndarray, " k"] | None, signed: bool
) -> Float[np.ndarray, "m p"]:
    """The solutions of a class at ``mus``, over ``some`` columns or all."""
    gram, b = sums.gram, sums.b[:, i]
    if some is None:
        return between(trace(gram, b, mus[-1], signed=signed), mus, len(b))
    w = np.zeros((len(mus), len(b)))
    w[:, some] = between(trace(gram[np.ix_(some, some)], b[some], mus[-1], signed=signed), mus, len(some))
    return w


def bounds(
    paths: Sequence[Sequence[Knot]], mu: float | None = None
) -> tuple[Float[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """Bounds to look at, two digits each, and which of them are candidates: those from where the median class selects
    its second feature, three decades at most, to where the paths have ended, or a class has more features than anybody
    looks at. Where ``mu`` can bind it is among the bounds, and they reach it."""
    firsts = [min(norms) for path in paths if (norms := [knot.norm for knot in path if knot.norm > 0])]
    if not firsts:
        return np.array([mu or 1.0]), np.array([True])
    ends = np.array([np.inf if goes_on(path) else path[-1].norm for path in paths if path[-1].norm > 0])
    reached = min((path[-1].norm for path in paths if goes_on(path) and path[-1].norm > 0), default=np.inf)
    top = min(reached, float(ends.max()), BEYOND * float(np.median(ends)))
    low = min(top, max(float(np.median(firsts)), top / 10**DECADES))
    first = last = math.floor(PER_DECADE * math.log10(low))
    while _bound(last) < top:
        last += 1
    candidates = {_bound(k) for k in range(first, last + 1)}
    own = {mu} if mu is not None and mu <= ends.max() else set()
    while own and _bound(first) > mu:
        first -= 1
    while own and _bound(last) < mu:
        last += 1
    mus = np.array(sorted({_bound(k) for k in range(first, last + 1)} | own))
    return mus, np.isin(mus, list(candidates))


def _bound(k: int) -> float:
    return float(f"{10 ** (k / PER_DECADE):.2g}")


def _spread(w: np.ndarray, columns: np.ndarray, features: int) -> sparse.csr_array:
    """Rows over some columns as rows over all."""
    rows, places = np.nonzero(w)
    return sparse.csr_array((w[rows, places], (rows, columns[places])), shape=(len(w), features))


def _agreement(split: Split, weights: Sequence[Sequence[sparse.csr_array]], count: int) -> np.ndarray:
    """folds x m: the share of the pictures held out whose largest x'w is that of the predicted class."""
    if split.parts < FOLDS:
        return np.full((FOLDS, count), np.nan)
    same, total, start = np.zeros((FOLDS, count)), np.zeros((FOLDS, 1)), 0
    stacked = [sparse.vstack(of_fold) for of_fold in weights]  # class by class, and mu by mu within it
    for shard in split.table:
        stop = start + len(shard["predictions"])
        fold_of = split.of[start:stop] % FOLDS
        for fold, w in enumerate(stacked):
            here = fold_of == fold
            guessed = (w @ shard["descriptors"][here].T).reshape(split.classes, count, -1).argmax(axis=0)
            same[fold] += (guessed == shard["predictions"][here]).sum(axis=1)
            total[fold] += here.sum()
        start = stop
    return same / total


def _whole(split: Split, mus: np.ndarray) -> dict[str, np.ndarray]:
    """What the whole table selects along ``mus``: a row a class and feature, in the order in which they enter."""
    owners, columns, enters, weights = [], [], [], []
    for j, beginning in enumerate(split.beginnings):
        further = goes_on(beginning) and beginning[-1].norm < mus[-1]
        path = split.trace(j, mus[-1]) if further else beginning
        first: dict[int, float] = {}
        for before, knot in zip(path, path[1:], strict=False):
            for column in knot.columns.tolist():
                first.setdefault(column, before.norm)
        w = between(path, mus, split.features)
        for column, norm in first.items():
            owners.append(j)
            columns.append(column)
            enters.append(norm)
            weights.append(w[:, column])
    return {
        "owners": np.array(owners, np.int64),
        "columns": np.array(columns, np.int64),
        "enters": np.array(enters, np.float64),
        "weights": np.array(weights, np.float64).reshape(-1, len(mus)),
    }
