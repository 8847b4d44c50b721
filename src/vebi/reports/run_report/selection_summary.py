"""What is selected along mu, how well it predicts held-out images and how stable it is, as numbers."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vebi.activations.layers import Feature
from vebi.data.collections import evenly_spaced
from vebi.interpretation.result import Interpretation
from vebi.interpretation.settings import AUTO
from vebi.lasso.cross_validation import finite_folds, mean_and_se
from vebi.reports.run_report.selection_index import SelectionIndex

#: Classes that are shown unless they are asked for by name: they are to be read.
MOST_CLASSES = 24
#: Selection probabilities from which on a selection is called ...
STABILITY_WORDS = ((STABLE := 0.9, "stable"), (UNSTABLE := 0.6, "fairly stable"), (0.0, "unstable"))


#: Share of the weight of a class below which a selection is fragile, unless it is stable.
FRAGILE = 0.05


@dataclass(frozen=True)
class MuScores:
    """What one value of mu selects, and how well that predicts held-out images.

    Attributes:
        mu: The value, None where every class has its own.
        r2: Mean R² over the folds.
        r2_error: Its standard error.
        fidelity: Mean fidelity over the folds, in [0, 1].
        fidelity_error: Its standard error.
        features: Mean number of features per class.
    """

    mu: float | None
    r2: float
    r2_error: float
    fidelity: float
    fidelity_error: float
    features: float

    def __str__(self) -> str:
        return (
            f"R² {100 * self.r2:.1f} ± {100 * self.r2_error:.1f} %, "
            f"fidelity {100 * self.fidelity:.1f} ± {100 * self.fidelity_error:.1f} %"
        )


@dataclass(frozen=True)
class MuComparison:
    """The bounds of an interpretation beside the values of mu that cross-validation suggests.

    Attributes:
        current: The bounds of the interpretation.
        best: The value of the best held-out R².
        one_se: The smallest value within one standard error of it.
        rows: The three with their labels, each once.
        n_values: Values of mu on the path.
        beyond: Whether the mu of the interpretation is above all values of the path.
    """

    current: MuScores
    best: MuScores
    one_se: MuScores
    rows: list[tuple[str, MuScores]]
    n_values: int
    beyond: bool


@dataclass(frozen=True)
class FragileSelection:
    """A selection that another training, or other images, could change.

    Attributes:
        class_name: The class.
        feature: The feature that it selects.
        share: Its share of the weight of the class.
        selection_probability: None where it is not known.
    """

    class_name: str
    feature: Feature
    share: float
    selection_probability: float | None


def to_dict(interpretation: Interpretation, class_names: Sequence[str] | None = None) -> dict[str, Any]:
    """The path as JSON takes it.

    Args:
        interpretation: What the model has learned.
        class_names: Class names, by default all.

    Returns:
        ``mu`` and ``features_per_class``, one of them None; ``chosen`` (``"auto"`` or ``"given"``); ``mus``, the values
        of mu; ``best_mu`` and ``one_se_mu`` (None without cross-validation); ``folds``; ``r2`` and ``fidelity`` (mean
        and standard error by mu); ``features`` (mean number per class by mu); ``scores``, the same three numbers at the
        bounds of the run (None without cross-validation); ``classes``: of each its ``mu``, the ``features`` in the
        order of entry, and by mu the ``counts`` and the ``r2``, and ``end_mu`` (None where the path goes on). The
        ``mu`` of a class that has none of the number of features asked for is None.

    Raises:
        UsageError: There is no such class.
    """
    path, names = interpretation.mu_path, interpretation.find_class_names(class_names)
    counts, index, scores = path.counts(), SelectionIndex(interpretation), fit_scores(interpretation)
    return {
        "mu": interpretation.mu,
        "features_per_class": interpretation.settings.features_per_class,
        "chosen": "auto" if is_automatic(interpretation) else "given",
        "mus": path.mus.tolist(),
        "best_mu": path.best if path.validated else None,
        "one_se_mu": path.one_se_mu if path.validated else None,
        "folds": len(path.fidelity),
        "r2": _mean_and_error(path.scores),
        "fidelity": _mean_and_error(path.fidelity),
        "features": counts.mean(axis=1).tolist(),
        "scores": None if scores is None else asdict(scores),
        "classes": {
            name: {
                "mu": class_mu(interpretation, j),
                "features": _path_features(index, j),
                "counts": counts[:, j].tolist(),
                "r2": _mean_and_error(path.r2[:, :, j])["mean"],
                "end_mu": float(path.end_mu[j]) if math.isfinite(path.end_mu[j]) else None,
            }
            for name, j in ((name, index.class_index[name]) for name in names)
        },
    }


def shown_classes(interpretation: Interpretation, class_names: Sequence[str] | None = None) -> list[str]:
    """The names of the classes that are asked for by name or id; else up to ``MOST_CLASSES``, spread evenly."""
    return interpretation.find_class_names(class_names or evenly_spaced(interpretation.class_names, MOST_CLASSES))


def class_mu(interpretation: Interpretation, j: int) -> float | None:
    """The bound of class ``j``; None where it was to have a number of features and has none."""
    has_bound = interpretation.mu is not None or interpretation.weights[j].any()
    return interpretation.mus[j] if has_bound else None


def _path_features(index: SelectionIndex, j: int) -> list[dict[str, Any]]:
    rows = index.path_rows(j)
    return [
        {"feature": str(index.interpretation.feature(column)), "entry_mu": entry_mu, "weights": weights}
        for column, entry_mu, weights in zip(
            rows.columns.tolist(), rows.entry_mu.tolist(), rows.weights.tolist(), strict=True
        )
    ]


def _mean_and_error(scores: Float[np.ndarray, "folds m"]) -> dict[str, list[float] | None]:
    """Mean and standard error over the folds that have a score; None where none has."""
    if not len(finite_folds(scores)):
        return {"mean": None, "standard_error": None}
    center, error = mean_and_se(scores)
    return {"mean": center.tolist(), "standard_error": error.tolist()}


def is_automatic(interpretation: Interpretation) -> bool:
    """Whether mu was chosen by cross-validation."""
    return interpretation.settings.mu == AUTO


def bound_name(interpretation: Interpretation) -> str:
    """How the bound of an interpretation is called, as ``mu = 5`` or ``3 features per class``."""
    count = interpretation.settings.features_per_class
    if count is None:
        return f"mu = {interpretation.mus[0]:g}"
    return f"{count} feature{'s' if count > 1 else ''} per class"


def compare_mu(interpretation: Interpretation) -> MuComparison | None:
    """The bounds of an interpretation beside what cross-validation suggests; None where there was none."""
    path, mu = interpretation.mu_path, interpretation.mu
    if not path.validated:
        return None
    by_mu = _mu_scores(interpretation)
    one_se, best = (by_mu[path.nearest(value)] for value in (path.one_se_mu, path.best))
    current = by_mu[path.nearest(mu)] if mu is not None else fit_scores(interpretation)
    assert current is not None  # the path was cross-validated
    labels: dict[float | None, list[str]] = {}
    for label, scores in (("this page", current), ("auto", one_se), ("best", best)):
        labels.setdefault(scores.mu, []).append(label)
    scores_of = {scores.mu: scores for scores in (current, one_se, best)}
    return MuComparison(
        current=current,
        best=best,
        one_se=one_se,
        rows=[(", ".join(names), scores_of[value]) for value, names in labels.items()],
        n_values=len(path.mus),
        beyond=bool(mu is not None and mu > path.mus[-1]),
    )


def _mu_scores(interpretation: Interpretation) -> list[MuScores]:
    path = interpretation.mu_path
    columns = (path.mus, *mean_and_se(path.scores), *mean_and_se(path.fidelity), path.counts().mean(axis=1))
    return [MuScores(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def fit_scores(interpretation: Interpretation) -> MuScores | None:
    """The held-out scores at the bounds of the fit, one for every class; None where there was no cross-validation."""
    path = interpretation.mu_path
    if not path.validated:
        return None
    (r2_mean, r2_error), (fidelity, error) = (
        (float(value[0]) for value in mean_and_se(scores[:, None])) for scores in (path.fit_scores, path.fit_fidelity)
    )
    features = float((interpretation.weights != 0).sum(axis=1).mean())
    return MuScores(interpretation.mu, r2_mean, r2_error, fidelity, error, features)


def held_out_r2(interpretation: Interpretation, j: int) -> float | None:
    """The held-out R² of class ``j`` at its bound; None where there is none."""
    scores = interpretation.mu_path.fit_r2[:, j]
    return float(scores[np.isfinite(scores)].mean()) if np.isfinite(scores).any() else None


def stability_summary(interpretation: Interpretation) -> dict[str, int] | None:
    """How far the selections can be trusted; a selection is a class and a feature that it selects.

    Returns:
        Numbers of selections: ``all``; ``stable`` and ``unstable`` ones by their selection probability, and ``unknown``
        ones, of which it cannot be known;
        ``replaceable`` ones, whose feature has correlated features; ``lasting`` ones, made with half and with twice mu,
        too. And ``n_subsamples``. None where stability was not asked for.
    """
    stability = interpretation.stability
    if stability is None:
        return None
    selected = interpretation.weights != 0
    probabilities = stability.selection_probability[selected]
    has_correlated = np.array([bool(group) for group in stability.correlated_features], bool)
    index = SelectionIndex(interpretation)
    return {
        "all": int(selected.sum()),
        "stable": int((probabilities >= STABLE).sum()),
        "unstable": int((probabilities < UNSTABLE).sum()),
        "unknown": int(np.isnan(probabilities).sum()),
        "replaceable": int(selected[:, has_correlated].sum()),
        "n_subsamples": stability.n_subsamples,
        "lasting": sum(_selected_at_half_and_double(index, j, i) for j, i in np.argwhere(selected).tolist()),
    }


def fragile_selections(index: SelectionIndex) -> list[FragileSelection]:
    """The selections that another training, or other images, could change: light ones and unstable ones.

    Returns:
        Those with a selection probability below ``UNSTABLE``, or with less than ``FRAGILE`` of the weight of their
        class unless that is ``STABLE``; in the order of the classes, the heaviest first.
    """
    interpretation, fragile = index.interpretation, list[FragileSelection]()
    stability = interpretation.stability
    for name, j in index.class_index.items():
        selected = index.selected(j)
        total = sum(abs(weight) for _, weight in selected)
        for i, weight in selected:
            probability = stability.probabilities(j, i)[0] if stability else None
            share, least = abs(weight) / total, STABLE if abs(weight) < FRAGILE * total else UNSTABLE
            if least == STABLE if probability is None else probability < least:
                fragile.append(FragileSelection(name, interpretation.features[i], share, probability))
    return fragile


def _selected_at_half_and_double(index: SelectionIndex, j: int, i: int) -> bool:
    """Whether a class selects a feature with half of mu and with twice as much, too, as far as the path reaches."""
    mu, mus = index.interpretation.mus[j], index.interpretation.mu_path.mus
    mu_range = index.mu_range(j, i)
    low, high = max(mu / 2, mus[0]), min(2 * mu, mus[-1])
    return mu_range is not None and bool(mu_range[0] <= low * 1.05 and mu_range[1] >= high / 1.05)


def stability_word(selection_probability: float) -> str:
    """Stable, fairly stable or unstable."""
    return next(word for least, word in STABILITY_WORDS if selection_probability >= least)
