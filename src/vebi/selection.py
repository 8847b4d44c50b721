"""Why these features and no others: the path along mu, how it holds on pictures that were held out, and stability.

The table is dealt into parts once. Five groups of them are the folds of the cross-validation, random halves of them the
half samples of stability selection.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from vebi.descriptors import DescriptorTable, Progress
from vebi.lasso.path import Knot, between, trace
from vebi.lasso.stability import CORRELATED, HALVES, correlations, select_again
from vebi.lasso.sums import Sums, merge
from vebi.lasso.validation import deal, explained_variance, standard_error, within_one_error

PARTS, FOLDS = 20, 5
#: Bounds mu that are looked at: ten a decade, over three decades at most.
PER_DECADE, DECADES = 10, 3
#: ... and to so many times the bound at which the path of the median class ends: little happens there.
BEYOND = 3
#: A path is followed over so many knots at most, beyond which a class has more features than anybody looks at.
KNOTS = 200
#: Features considered at a time when parts are solved; of more those that are nearest to being selected.
CONSIDERED, NEAREST = 2048, 256


@dataclass(frozen=True)
class MuPath:
    """What is selected along ``mus`` (m bounds), and what it is worth on pictures that were held out.

    ``explained`` folds x m x classes: the explained variance of a class's labels, NaN where the fold has no picture of
    it or no other; ``agreement`` folds x m: the share of pictures for which the largest x'w is that of the predicted
    class. Of the whole table, one row a class and feature that it selects anywhere: ``owners`` the class, ``columns``
    the feature's place in a descriptor, ``enters`` the ||w||_1 at which it first enters, ``weights`` rows x m.
    ``ends`` the ||w||_1 at which the path of a class ends, infinity where it goes on.
    """

    mus: Float[np.ndarray, " m"]
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
        return bool(np.isfinite(self.scores).all(axis=1).any())

    @property
    def scores(self) -> Float[np.ndarray, "folds m"]:
        """The explained variance of every fold, its mean over the classes that have one."""
        known = np.isfinite(self.explained)
        count = known.sum(axis=2)
        return np.where(count > 0, np.where(known, self.explained, 0).sum(axis=2) / np.maximum(count, 1), np.nan)

    @property
    def best(self) -> float:
        """The mu of the best held-out explained variance."""
        return float(self.mus[int(mean(self.scores)[0].argmax())])

    @property
    def recommended(self) -> float:
        """The smallest mu within one standard error of the best held-out explained variance."""
        return float(self.mus[within_one_error(self.scores)])

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


def mean(scores: Float[np.ndarray, "folds m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The mean over folds that have scores, and its standard error; 0 where none has."""
    scores = scores[np.isfinite(scores).all(axis=1)]
    if not len(scores):
        return np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    return scores.mean(axis=0), standard_error(scores)


class Split:
    """A table and its ``sums`` over ``labels`` (``predictions`` or ``labels``), dealt into parts."""

    def __init__(self, table: DescriptorTable, sums: Sums, labels: str, *, signed: bool = False):
        self.table, self.sums, self.labels, self.signed = table, sums, labels, signed
        self.classes, self.features = len(sums.e), len(sums.gram)
        given = table.column(labels)
        self.of = deal(given, min(PARTS, len(given)))
        self.parts = int(self.of.max(initial=-1)) + 1
        self._held: tuple[bytes, list[Sums]] = (b"", [])

    def trace(self, j: int, mu: float = np.inf, most: int | None = None) -> list[Knot]:
        """The path of a class over the whole table."""
        return trace(self.sums.gram, self.sums.b[:, j], mu, signed=self.signed, most=most)

    @cached_property
    def beginnings(self) -> list[list[Knot]]:
        """The path of every class as far as ``KNOTS``."""
        return [self.trace(j, most=KNOTS) for j in range(self.classes)]

    def groups(self) -> Iterator[tuple[list[int], Int[np.ndarray, " k"], list[Sums]]]:
        """Classes, the columns considered for them, and the sums of every part over both."""
        for classes, columns in self._groups:
            if self._held[0] != columns.tobytes():
                self._held = (b"", [])  # before the next ones are made: they are large
                self._held = (columns.tobytes(), self.table.part_sums(self.of, columns, classes, self.labels))
            yield classes, columns, self._held[1]

    @cached_property
    def _groups(self) -> list[tuple[list[int], Int[np.ndarray, " k"]]]:
        if self.features <= CONSIDERED:
            return [(list(range(self.classes)), np.arange(self.features))]
        found: list[tuple[list[int], set[int]]] = []
        for j in range(self.classes):
            columns = self._nearest(j)
            if found and len(found[-1][1] | columns) <= CONSIDERED:
                found[-1][0].append(j)
                found[-1][1].update(columns)
            else:
                found.append(([j], columns))
        return [(classes, np.array(sorted(columns))) for classes, columns in found]

    def _nearest(self, j: int) -> set[int]:
        """The columns that a class selects anywhere, and those that are nearest to it where its path ends."""
        path = self.beginnings[j]
        selected = {int(column) for knot in path for column in knot.columns}
        left = self.sums.b[:, j] - path[-1].weights @ self.sums.gram[path[-1].columns]
        order = np.argsort(-(np.abs(left) if self.signed else left), kind="stable")
        return selected | set(order[: max(NEAREST, 2 * len(selected))].tolist())


def mu_path(split: Split, mu: float | None = None, progress: Progress | None = None) -> MuPath:
    """The path of a table; ``mu`` is a bound that it reaches. ``progress`` is called with (steps done, steps)."""
    mus = bounds(split.beginnings, mu)
    explained = np.full((FOLDS, len(mus), split.classes), np.nan)
    weights: list[list[sparse.csr_array]] = [[] for _ in range(FOLDS)]
    done = 0
    for classes, columns, parts in split.groups() if split.parts >= FOLDS else ():
        for fold in range(FOLDS):
            held_out = merge(parts[fold::FOLDS])
            learnt = merge([part for k, part in enumerate(parts) if k % FOLDS != fold])
            for i, j in enumerate(classes):
                path = trace(learnt.gram, learnt.b[:, i], mus[-1], signed=split.signed)
                w = between(path, mus, len(columns))
                explained[fold, :, j] = explained_variance(w, held_out, i)
                weights[fold].append(_spread(w, columns, split.features))
            done += len(classes)
            if progress:
                progress(done, FOLDS * split.classes)
    return MuPath(
        mus=mus,
        explained=explained,
        agreement=_agreement(split, weights, len(mus)),
        **_whole(split, mus),
        ends=np.array([np.inf if _goes_on(path) else path[-1].norm for path in split.beginnings]),
    )


def bounds(paths: Sequence[Sequence[Knot]], mu: float | None = None) -> Float[np.ndarray, " m"]:
    """Bounds to look at, two digits each: from where the median class selects its second feature to where the paths
    have ended, or a class has more features than anybody looks at. ``mu`` itself is among them where it can bind."""
    starts = [path[1].norm for path in paths if len(path) > 1]
    if not starts:
        return np.array([mu or 1.0])
    low, ends = float(np.median(starts)), np.array([np.inf if _goes_on(path) else path[-1].norm for path in paths])
    reached = min((path[-1].norm for path in paths if _goes_on(path)), default=np.inf)
    top = min(reached, low * 10**DECADES, float(ends.max()), BEYOND * float(np.median(ends)))
    own = [mu] if mu is not None and mu <= ends.max() else []
    first, top = math.floor(PER_DECADE * math.log10(min([low, *own]))), max([low, top, *own])
    grid = []
    while not grid or grid[-1] < top:
        grid.append(float(f"{10 ** ((first + len(grid)) / PER_DECADE):.2g}"))
    return np.array(sorted({*grid, *own}))


def _goes_on(path: Sequence[Knot]) -> bool:
    return len(path) == KNOTS and path[-1].penalty > 0


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
        further = _goes_on(beginning) and beginning[-1].norm < mus[-1]
        path = split.trace(j, mus[-1]) if further else beginning
        first: dict[int, float] = {}
        for before, knot in zip(path, path[1:], strict=False):
            for column in knot.columns.tolist():
                first.setdefault(column, before.norm)
        w = between(path, mus, split.features)
        for column, norm in first.items():
            if w[:, column].any():  # not only between two of the bounds
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
    for classes, considered, parts in split.groups():
        told = progress and (lambda k, _, done=done, n=len(classes): progress(done + k * n, steps))
        again = select_again(parts, mu, signed=split.signed, progress=told)
        done += HALVES * len(classes)
        place = {int(column): k for k, column in enumerate(considered)}
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
    for own, row in zip(columns, correlations(sums, columns), strict=True):
        close = [int(c) for c in np.argsort(-row, kind="stable") if row[c] > CORRELATED and c != own]
        found.append(tuple((c, min(1.0, float(row[c]))) for c in close))
    return tuple(found)
