"""Charts of what is selected along mu, and all of them as one SVG file."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from vebi.data.collections import evenly
from vebi.files import make_place, whole
from vebi.interpretation.result import Interpretation
from vebi.lasso.cross_validation import mean
from vebi.reports.selection_summary import _rows
from vebi.reports.svg_chart import Axis, Line, ceiling, line_chart, step

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


def write_picture(interpretation: Interpretation, out: str | Path, classes: Sequence[str] | None = None) -> None:
    """``picture`` as a file, of some ``classes`` or of up to ``SHOWN``, spread evenly."""
    out = Path(out)
    make_place(out)
    with whole(out) as partial:
        partial.write_text(
            picture(interpretation, list(classes or evenly(interpretation.classes, SHOWN))), encoding="utf-8"
        )


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


def _here(interpretation: Interpretation) -> tuple[float, str]:
    """The mark of mu, which stands at the last bound where the path ends before it."""
    mu, mus = interpretation.mu, interpretation.path.mus
    return float(np.clip(mu, mus[0], mus[-1])), f"mu = {mu:g}"


def _percent(shares: np.ndarray) -> list[float]:
    return np.clip(100 * shares, 0, 100).tolist()
