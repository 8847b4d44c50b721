"""Why these features: what is selected along mu, what it explains, how far it can be trusted; as numbers and charts."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from vebi.data.collections import evenly
from vebi.files import make_place, whole
from vebi.interpretation.result import Interpretation
from vebi.lasso.cross_validation import known, mean
from vebi.reports.svg_chart import Axis, Line, ceiling, line_chart, step

#: Shares of half samples from which on a feature is called ...
WORDS = ((0.9, "stable"), (UNSTABLE := 0.6, "fairly stable"), (0.0, "unstable"))
#: Sizes of the picture on its own, in pixels.
WIDTH, MARGIN, CHART, SMALL_CHART, ACROSS = 1080, 60, 240, 170, 2
LEGEND_LINE = 20
#: Classes in a picture, unless they are asked for by name.
SHOWN = 24
#: Lines that a chart can tell apart; a feature that is not chosen gets a name where it ever has that share of weight.
NAMED, NOTABLE = 7, 0.3
STYLE = """
text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #62626e; }
.title { font-size: 26px; font-weight: 700; fill: #1e1e26; } .heading { font-weight: 600; fill: #1e1e26; }
.chart { overflow: visible; } .name { font-size: 11px; font-weight: 600; fill: #1e1e26; text-anchor: middle; }
.grid { stroke: #e2e2e8; } .level { stroke: #8a8a96; stroke-dasharray: 3 3; }
"""


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


def write_picture(interpretation: Interpretation, out: str | Path, classes: Sequence[str] | None = None) -> None:
    """``picture`` as a file, of some ``classes`` or of up to ``SHOWN``, spread evenly."""
    out = Path(out)
    make_place(out)
    with whole(out) as partial:
        partial.write_text(
            picture(interpretation, list(classes or evenly(interpretation.classes, SHOWN))), encoding="utf-8"
        )


# --- charts ---------------------------------------------------------------------------------------------------------


def validation_chart(interpretation: Interpretation) -> Markup:
    """Explained variance and agreement on held-out pictures along mu, in percent, with bands of one standard error."""
    path = interpretation.path
    lines = [
        Line(
            k + 1,
            _percent(center),
            path.mus,
            list(zip(_percent(center - error), _percent(center + error), strict=True)),
        )
        for k, (center, error) in enumerate((mean(path.scores), mean(path.agreement)))
    ]
    marks = [_here(interpretation)]
    if path.recommended != marks[0][0]:
        marks.append((path.recommended, f"auto: {path.recommended:g}"))
    described = "explained variance and agreement with the network on held-out pictures, in percent by mu"
    return line_chart(lines, 100, described, axis(path.mus), marks)


def count_chart(interpretation: Interpretation) -> Markup:
    """Features that a class selects along mu: the mean, and a band from the class with the fewest to that with the
    most."""
    path, counts = interpretation.path, interpretation.path.counts()
    band = list(zip(counts.min(axis=1).tolist(), counts.max(axis=1).tolist(), strict=True))
    most = float(counts.max(initial=1))
    top = ceiling([most], step(most))
    line = Line(1, counts.mean(axis=1).tolist(), path.mus, band)
    return line_chart([line], top, "features a class by mu", axis(path.mus), [_here(interpretation)])


def class_chart(interpretation: Interpretation, name: str, numbers: dict[str, int]) -> Markup:
    """``_shares`` as lines; features without a number in ``numbers`` (by name) are drawn faintly."""
    columns, mus = _rows(interpretation, name)[0], interpretation.path.mus
    shares = _shares(interpretation, name)
    near = shares > 0
    near[:, 1:] |= shares[:, :-1] > 0  # a line starts and ends at 0, and is not drawn along it
    near[:, :-1] |= shares[:, 1:] > 0
    shares[~near] = np.nan
    lines = [
        Line(numbers.get(str(interpretation.feature(int(column))), 0), share.tolist(), mus)
        for column, share in zip(columns, shares, strict=True)
    ]
    lines.sort(key=lambda line: line.number or math.inf)
    described = f"share of the weight of each feature of {name}, in percent by mu"
    return line_chart(lines, 100, described, axis(mus), [_here(interpretation)])


def axis(mus: np.ndarray) -> Axis:
    """Across a chart: every decade, and 2 and 5 within it."""
    low, high = float(mus[0]), float(mus[-1])
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**k for k in decades for digit in ((1, 2, 5) if high <= 2000 * low else (1,))]
    return Axis(low, high, tuple(t for t in ticks if low * 0.999 <= t <= high * 1.001), log=True)


def numbered(interpretation: Interpretation, name: str, chosen: int | None = None) -> dict[str, int]:
    """Features of a class -> the numbers of their lines: 1, 2, ... for the ``chosen`` heaviest, as their cards are
    numbered, by default so many that others find room; then those that matter at other mu, in the order of entry."""
    own = [str(feature) for feature, _ in interpretation.selected(name)]
    heaviest = own[: NAMED // 2 + 1 if chosen is None else chosen]
    notable = {
        feature: most
        for column, shares in zip(_rows(interpretation, name)[0], _shares(interpretation, name), strict=True)
        if (feature := str(interpretation.feature(column))) not in heaviest
        and (most := shares.max(initial=0)) >= 100 * NOTABLE
    }
    if chosen is None:
        heaviest = own[: max(len(heaviest), NAMED - len(notable))]
    heaviest = heaviest[:NAMED]
    others = [feature for feature in notable if feature not in heaviest]
    # where there is no room for all, those that carry most: the last to enter may have all of the weight in the end
    shown = sorted(others, key=notable.__getitem__, reverse=True)[: NAMED - len(heaviest)]
    return {feature: k + 1 for k, feature in enumerate([*heaviest, *(f for f in others if f in shown)])}


def _shares(interpretation: Interpretation, name: str) -> Float[np.ndarray, "rows m"]:
    """The share of a class's weight that its features have along mu, in percent; rows as those of ``_rows``."""
    size = np.abs(np.array(_rows(interpretation, name)[2], np.float64).reshape(-1, len(interpretation.path.mus)))
    total = size.sum(axis=0)
    return 100 * size / np.where(total > 0, total, 1)


def picture(interpretation: Interpretation, classes: Sequence[str]) -> str:
    """All charts as one SVG file."""
    half = (WIDTH - 3 * MARGIN) // 2
    path, parts, top = interpretation.path, [], 130
    parts.append(f'<text class="title" x="{MARGIN}" y="50">What is selected along mu</text>')
    said = f"{len(path.mus)} bounds on the l1 norm of a class’s weights; this run has mu = {interpretation.mu:g}"
    said += "; what is below 0 % is drawn at 0"
    parts.append(f'<text x="{MARGIN}" y="74">{escape(said)}</text>')
    drawn = [("features a class: mean, fewest and most", count_chart(interpretation))]
    if path.validated:
        title = "held out, in percent: 1 explained variance, 2 agreement"
        drawn.insert(0, (title, validation_chart(interpretation)))
    for k, (title, chart) in enumerate(drawn):
        parts += _placed(title, chart, MARGIN + k * (half + MARGIN), top, half, CHART)
    top += CHART + 100
    for start in range(0, len(classes), ACROSS):
        row = classes[start : start + ACROSS]
        numbers = [numbered(interpretation, name) for name in row]
        for k, (name, own) in enumerate(zip(row, numbers, strict=True)):
            left = MARGIN + k * (half + MARGIN)
            chart = class_chart(interpretation, name, own)
            parts += _placed(f"{name}: share of the weight in percent", chart, left, top, half, SMALL_CHART)
            chosen_here = {str(feature) for feature, _ in interpretation.selected(name)}
            for line, (feature, number) in enumerate(own.items()):
                y = top + SMALL_CHART + 48 + LEGEND_LINE * line
                other = "" if feature in chosen_here else " (at other mu)"
                parts.append(f'<text x="{left}" y="{y}">{number}  {escape(feature)}{other}</text>')
        top += SMALL_CHART + 110 + LEGEND_LINE * max(map(len, numbers))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _placed(title: str, chart: Markup, x: int, y: int, width: int, height: int) -> list[str]:
    return [
        f'<text class="heading" x="{x}" y="{y - 34}">{escape(title)}</text>',
        f'<svg x="{x}" y="{y}" width="{width}" height="{height}" overflow="visible">{chart}</svg>',
    ]


def _rows(interpretation: Interpretation, name: str) -> tuple[list[int], list[float], list[list[float]]]:
    """Columns, where they enter and their weights along mu, of a class in the order in which they enter."""
    path = interpretation.path
    own = np.flatnonzero(path.owners == interpretation.classes.index(name))
    return path.columns[own].tolist(), path.enters[own].tolist(), path.weights[own].tolist()


def _here(interpretation: Interpretation) -> tuple[float, str]:
    """The mark of mu, which stands at the last bound where the path ends before it."""
    mu, mus = interpretation.mu, interpretation.path.mus
    return float(np.clip(mu, mus[0], mus[-1])), f"mu = {mu:g}"


def _percent(shares: np.ndarray) -> list[float]:
    return np.clip(100 * shares, 0, 100).tolist()


def _summary(scores: np.ndarray) -> dict[str, list[float] | None]:
    """Mean and standard error over the folds that have a score; None where none has."""
    if not len(known(scores)):
        return {"mean": None, "standard_error": None}
    center, error = mean(scores)
    return {"mean": center.tolist(), "standard_error": error.tolist()}
