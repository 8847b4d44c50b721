"""Charts of what is selected along mu, and all of them as one SVG file."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from vebi.files import write_text
from vebi.interpretation.result import Interpretation
from vebi.lasso.cross_validation import mean_and_se
from vebi.outputs import output_file
from vebi.reports.run_report.selection_index import SelectionIndex
from vebi.reports.run_report.selection_summary import bound_name, shown_classes
from vebi.reports.run_report.weight_shares import line_numbers, path_features, weight_shares
from vebi.reports.svg_chart import ceiling, line_chart, step
from vebi.reports.svg_line import Axis, Line

#: Sizes in the file of all charts, in pixels, and its charts per row.
WIDTH, MARGIN, CHART, SMALL_CHART, PER_ROW = 1080, 60, 240, 170, 2
LEGEND_LINE = 20
#: What no XML may hold, not even escaped, but the name of a class or layer may.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
STYLE = """
text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #62626e; }
.title { font-size: 26px; font-weight: 700; fill: #1e1e26; } .heading { font-weight: 600; fill: #1e1e26; }
.chart { overflow: visible; } .name { font-size: 11px; font-weight: 600; fill: #1e1e26; text-anchor: middle; }
.grid { stroke: #e2e2e8; } .level { stroke: #8a8a96; stroke-dasharray: 3 3; }
"""


def validation_chart(interpretation: Interpretation) -> Markup:
    """Held-out R² and fidelity along mu, in percent, with bands of one standard error."""
    path = interpretation.mu_path
    lines = [
        Line(
            number,
            _percent(center),
            path.mus.tolist(),
            list(zip(_percent(center - error), _percent(center + error), strict=True)),
        )
        for number, (center, error) in enumerate((mean_and_se(path.scores), mean_and_se(path.fidelity)), start=1)
    ]
    marks = _mu_marks(interpretation)
    if path.one_se_mu not in [mu for mu, _ in marks]:
        marks.append((path.one_se_mu, f"auto: {path.one_se_mu:g}"))
    return line_chart(lines, 100, "R² and fidelity on held-out images, in percent by mu", log_axis(path.mus), marks)


def count_chart(interpretation: Interpretation) -> Markup:
    """Features per class along mu: the mean, and a band from the class with the fewest to that with the most."""
    path, counts = interpretation.mu_path, interpretation.mu_path.counts()
    band = list(zip(counts.min(axis=1).tolist(), counts.max(axis=1).tolist(), strict=True))
    most = float(counts.max(initial=1))
    line = Line(1, counts.mean(axis=1).tolist(), path.mus.tolist(), band)
    top = ceiling([most], step(most))
    return line_chart([line], top, "features per class by mu", log_axis(path.mus), _mu_marks(interpretation))


def class_chart(index: SelectionIndex, name: str, numbers: dict[str, int]) -> Markup:
    """The share of the weight of each feature of a class along mu, in percent.

    Args:
        index: Of the interpretation.
        name: The class.
        numbers: Name of a feature -> number of its line; the lines of others are faint.
    """
    mus, shares = index.interpretation.mu_path.mus, weight_shares(index, name)
    drawn = shares > 0
    drawn[:, 1:] |= shares[:, :-1] > 0  # a line starts and ends at 0, and is not drawn along it
    drawn[:, :-1] |= shares[:, 1:] > 0
    values = np.where(drawn, shares, np.nan)
    lines = [
        Line(numbers.get(feature, 0), row.tolist(), mus.tolist())
        for feature, row in zip(path_features(index, name), values, strict=True)
    ]
    lines.sort(key=lambda line: line.number or math.inf)
    label = f"share of the weight of each feature of {name}, in percent by mu"
    return line_chart(lines, 100, label, log_axis(mus), [_mark(index.interpretation.mus[index.class_index[name]], mus)])


def log_axis(mus: Float[np.ndarray, " m"]) -> Axis:
    """From the first to the last mu, with ticks at every decade, and at 2 and 5 within it unless there are many."""
    low, high = float(mus[0]), float(mus[-1])
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**k for k in decades for digit in ((1, 2, 5) if high <= 2000 * low else (1,))]
    return Axis(low, high, tuple(t for t in ticks if low * 0.999 <= t <= high * 1.001), log=True)


def _mu_marks(interpretation: Interpretation) -> list[tuple[float, str]]:
    """The mark of mu, where it is the same for all classes."""
    mu = interpretation.mu
    return [] if mu is None else [_mark(mu, interpretation.mu_path.mus)]


def _mark(mu: float, mus: Float[np.ndarray, " m"]) -> tuple[float, str]:
    """The mark of a mu, which stands at the last value where the path ends before it."""
    return float(np.clip(mu, mus[0], mus[-1])), f"mu = {mu:.3g}"


def _percent(shares: Float[np.ndarray, " m"]) -> list[float]:
    percents: list[float] = np.clip(100 * shares, 0, 100).tolist()
    return percents


def write_figure(interpretation: Interpretation, out: str | Path, class_names: Sequence[str] | None = None) -> None:
    """Writes all charts as one SVG file.

    Args:
        interpretation: What the model has learned.
        out: The file.
        class_names: Class names, by default up to 24, spread evenly.
    """
    out = Path(out)
    names = shown_classes(interpretation, class_names)
    with output_file(out, ".svg"):
        write_text(out, figure(interpretation, names))


def figure(interpretation: Interpretation, class_names: Sequence[str]) -> str:
    """All charts as the text of an SVG file: those of all classes together, then one for each of ``class_names``."""
    index, parts, top = SelectionIndex(interpretation), _heading(interpretation), 130
    charts = [("features per class: mean, fewest and most", count_chart(interpretation))]
    if interpretation.mu_path.validated:
        charts.insert(0, ("held out, in percent: 1 R², 2 fidelity", validation_chart(interpretation)))
    for k, (title, chart) in enumerate(charts):
        parts += _placed(title, chart, _left(k), top, CHART)
    top += CHART + 100
    for start in range(0, len(class_names), PER_ROW):
        numbers = {name: line_numbers(index, name) for name in class_names[start : start + PER_ROW]}
        for k, name in enumerate(numbers):
            chart = class_chart(index, name, numbers[name])
            parts += _placed(f"{name}: share of the weight in percent", chart, _left(k), top, SMALL_CHART)
            parts += _legend(index, name, numbers[name], _left(k), top + SMALL_CHART + 48)
        top += SMALL_CHART + 110 + LEGEND_LINE * max(map(len, numbers.values()))
    body = _NO_XML.sub(lambda letter: ascii(letter[0])[1:-1], "\n".join(parts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _heading(interpretation: Interpretation) -> list[str]:
    text = (
        f"{len(interpretation.mu_path.mus)} values of mu, the bound on the l1 norm of the weights of each class; "
        f"this run has {bound_name(interpretation)}; what is below 0 % is drawn at 0"
    )
    return [
        f'<text class="title" x="{MARGIN}" y="50">What is selected along mu</text>',
        f'<text x="{MARGIN}" y="74">{escape(text)}</text>',
    ]


def _left(k: int) -> int:
    """The left end of the k-th chart of a row."""
    return MARGIN + k * (_chart_width() + MARGIN)


def _chart_width() -> int:
    return (WIDTH - 3 * MARGIN) // 2


def _placed(title: str, chart: Markup, x: int, y: int, height: int) -> list[str]:
    return [
        f'<text class="heading" x="{x}" y="{y - 34}">{escape(title)}</text>',
        f'<svg x="{x}" y="{y}" width="{_chart_width()}" height="{height}" overflow="visible">{chart}</svg>',
    ]


def _legend(index: SelectionIndex, name: str, numbers: dict[str, int], x: int, y: int) -> list[str]:
    """The numbered features, a line of text each."""
    selected = {str(index.interpretation.features[i]) for i, _ in index.selected(index.class_index[name])}
    lines = []
    for line, (feature, number) in enumerate(numbers.items()):
        note = "" if feature in selected else " (at other mu)"
        lines.append(f'<text x="{x}" y="{y + LEGEND_LINE * line}">{number}  {escape(feature)}{note}</text>')
    return lines
