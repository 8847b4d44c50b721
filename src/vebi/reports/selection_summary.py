"""Why these features: what is selected along mu, what it explains, how far it can be trusted; as numbers and charts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vebi.interpretation.result import Interpretation
from vebi.lasso.cross_validation import known, mean

#: Shares of half samples from which on a feature is called ...
WORDS = ((0.9, "stable"), (UNSTABLE := 0.6, "fairly stable"), (0.0, "unstable"))


def in_words(interpretation: Interpretation, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """The path as plain data, of some ``classes`` or all. Raises UsageError for classes that do not exist."""
    path, names = interpretation.path, list(classes or interpretation.classes)
    for name in names:
        interpretation.selected(name)  # says which there are
    counts = path.counts()
    return {
        "mu": interpretation.mu,
        "chosen": "auto" if chosen(interpretation) else "given",
        "mus": path.mus.tolist(),
        "best_mu": path.best if path.validated else None,
        "recommended_mu": path.recommended if path.validated else None,
        "folds": len(path.agreement),
        "explained_variance": _summary(path.scores),
        "agreement": _summary(path.agreement),
        "features": counts.mean(axis=1).tolist(),
        "classes": {
            name: {
                "features": [
                    {"feature": str(interpretation.feature(int(column))), "enters": enters, "weights": weights}
                    for column, enters, weights in zip(*_rows(interpretation, name), strict=True)
                ],
                "counts": counts[:, j].tolist(),
                "explained_variance": _summary(path.explained[:, :, j])["mean"],
                "ends": float(path.ends[j]) if math.isfinite(path.ends[j]) else None,
            }
            for name, j in ((name, interpretation.classes.index(name)) for name in names)
        },
    }


def chosen(interpretation: Interpretation) -> bool:
    """Whether mu was chosen by vebi."""
    return interpretation.provenance["settings"]["mu"] == "auto"


def at_mu(interpretation: Interpretation) -> dict[str, Any] | None:
    """Of the bound nearest to mu (``here``): ``explained``, ``agreement`` and ``features`` a class, with standard
    errors, the same of the ``best`` and of the ``recommended`` bound, and all three as ``rows`` (labels, numbers). None
    where no pictures were held out."""
    path = interpretation.path
    if not path.validated:
        return None
    explained, agreement, counts = mean(path.scores), mean(path.agreement), path.counts().mean(axis=1)

    def of(mu: float) -> dict[str, float]:
        k = path.nearest(mu)
        return {
            "mu": float(path.mus[k]),
            "explained": float(explained[0][k]),
            "explained_error": float(explained[1][k]),
            "agreement": float(agreement[0][k]),
            "agreement_error": float(agreement[1][k]),
            "features": float(counts[k]),
        }

    named: dict[float, list[str]] = {}
    for label, mu in (("this page", interpretation.mu), ("auto", path.recommended), ("best", path.best)):
        named.setdefault(of(mu)["mu"], []).append(label)
    return {
        "here": of(interpretation.mu),
        "best": of(path.best),
        "recommended": of(path.recommended),
        "rows": [(", ".join(labels), of(mu)) for mu, labels in named.items()],
        "bounds": len(path.mus),
        "beyond": interpretation.mu > path.mus[-1],
    }


def explained(interpretation: Interpretation, name: str) -> float | None:
    """The held-out explained variance of a class at the bound nearest to mu; None where there is none."""
    path = interpretation.path
    scores = path.explained[:, path.nearest(interpretation.mu), interpretation.classes.index(name)]
    return float(scores[np.isfinite(scores)].mean()) if np.isfinite(scores).any() else None


def trust(interpretation: Interpretation) -> dict[str, int] | None:
    """How many of the selections (a class and a feature) are made again on half samples (``stable``, ``unstable``),
    have stand-ins (``replaceable``), or are made with half and with twice the mu, too (``lasting``)."""
    stability = interpretation.stability
    if stability is None:
        return None
    own = interpretation.weights != 0
    shares, with_others = stability.shares[own], np.array([bool(some) for some in stability.stand_ins], bool)
    return {
        "all": int(own.sum()),
        "stable": int((shares >= WORDS[0][0]).sum()),
        "unstable": int((shares < UNSTABLE).sum()),
        "replaceable": int(own[:, with_others].sum()),
        "halves": stability.halves,
        "lasting": sum(_lasts(interpretation, j, interpretation.columns[k]) for j, k in np.argwhere(own).tolist()),
    }


def _lasts(interpretation: Interpretation, owner: int, column: int) -> bool:
    """Whether a class selects a feature with half of mu and with twice as much, too, as far as bounds reach."""
    path = interpretation.path
    span = path.span(owner, column)
    low, high = max(interpretation.mu / 2, path.mus[0]), min(2 * interpretation.mu, path.mus[-1])
    return span is not None and span[0] <= low * 1.05 and span[1] >= high / 1.05


def stable_in_words(share: float) -> str:
    return next(word for least, word in WORDS if share >= least)


# --- charts ---------------------------------------------------------------------------------------------------------


def _rows(interpretation: Interpretation, name: str) -> tuple[list[int], list[float], list[list[float]]]:
    """Columns, where they enter and their weights along mu, of a class in the order in which they enter."""
    path = interpretation.path
    own = np.flatnonzero(path.owners == interpretation.classes.index(name))
    return path.columns[own].tolist(), path.enters[own].tolist(), path.weights[own].tolist()


def _summary(scores: np.ndarray) -> dict[str, list[float] | None]:
    """Mean and standard error over the folds that have a score; None where none has."""
    if not len(known(scores)):
        return {"mean": None, "standard_error": None}
    center, error = mean(scores)
    return {"mean": center.tolist(), "standard_error": error.tolist()}
