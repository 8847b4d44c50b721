"""Curves over one axis as SVG that keeps the size of its letters and strokes whatever its width."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from markupsafe import Markup, escape

from vebi.reports.svg_line import UNIT, Axis, Line, Point

#: Distance that the numbers on a chart keep from each other, across and up, in percent of it.
DISTANCE = (7, 9)


def ceiling(values: Sequence[float], step: int = 10) -> int:
    """The lowest multiple of ``step`` above 0 that no value exceeds."""
    return max(step, -int(-max(values, default=0) // step) * step)


def step(top: float) -> int:
    """Between the numbers up the side, of which there are six at most: 1, 2 or 5 times a power of ten."""
    return next(int(digit * 10**k) for k in range(10) for digit in (1, 2, 5) if top <= 5 * digit * 10**k)


def line_chart(
    lines: Sequence[Line], top: float, label: str, axis: Axis = UNIT, marks: Sequence[tuple[float, str]] = ()
) -> Markup:
    """A chart from 0 to ``top`` up, each numbered line with its number where there is most room around it.

    The curves alone are stretched to the size that the page gives the chart; letters and numbers are placed in percent.

    Args:
        lines: A line without any value is left out. All have the same number of values.
        top: Upper end of the scale, above 0.
        label: What the chart shows, for those who cannot see it.
        axis: Across.
        marks: (value of the axis, label) of upright lines.
    """
    lines = [line for line in lines if any(map(math.isfinite, line.values))]
    curves = [line.points(top, axis) for line in lines]
    return Markup("\n").join(
        [
            Markup('<svg class="chart" role="img" aria-label="{}">').format(label),
            *_scale(top),
            *_ticks(axis),
            *_marks(axis, marks),
            Markup('<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">'),
            *_bands(lines, top, axis),
            *_polylines(lines, curves),
            Markup("</svg>"),
            *_numbers(lines, curves),
            Markup("</svg>"),
        ]
    )


def _scale(top: float) -> list[Markup]:
    """Grid lines and numbers up the side."""
    parts = []
    for value in range(0, int(top) + 1, step(top)):
        y = 100 - 100 * value / top
        parts.append(Markup(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>'))
        parts.append(Markup(f'<text x="0" y="{y:.2f}%" dx="-8" dy=".35em" text-anchor="end">{value}</text>'))
    return parts


def _ticks(axis: Axis) -> list[Markup]:
    """Numbers below the chart."""
    parts = []
    for value in axis.ticks:
        text, x = f"{value:g}" if axis.log else f"{value:.1f}", axis.percent(value)
        parts.append(Markup(f'<text x="{x:.2f}%" y="100%" dy="1.5em" text-anchor="middle">{text}</text>'))
    return parts


def _marks(axis: Axis, marks: Sequence[tuple[float, str]]) -> list[Markup]:
    parts = []
    for value, label in marks:
        x = axis.percent(value)
        anchor = "start" if x < 20 else "end" if x > 80 else "middle"
        parts.append(Markup(f'<line class="level" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>'))
        parts.append(Markup(f'<text x="{x:.2f}%" y="0" dy="-1.1em" text-anchor="{anchor}">{escape(label)}</text>'))
    return parts


def _bands(lines: Sequence[Line], top: float, axis: Axis) -> list[Markup]:
    return [
        Markup(f'<polygon points="{_joined(line.outline(top, axis))}" fill="{line.colour}" opacity=".15"/>')
        for line in lines
        if line.band
    ]


def _polylines(lines: Sequence[Line], curves: Sequence[list[Point]]) -> list[Markup]:
    pairs = list(zip(lines, curves, strict=True))
    return [
        Markup(f'<polyline points="{_joined(piece)}" vector-effect="non-scaling-stroke" {line.stroke}/>')
        for line, curve in (*pairs[1:], *pairs[:1])  # the first lies above the others
        for piece in _pieces(curve)
    ]


def _numbers(lines: Sequence[Line], curves: Sequence[list[Point]]) -> list[Markup]:
    """The numbers of the lines; a line that is alone needs none."""
    count = max((k + 1 for k, line in enumerate(lines) if line.number), default=0) if len(lines) > 1 else 0
    parts = []
    for line, (x, y) in zip(lines, _number_positions(curves, count), strict=False):
        if line.number:
            parts.append(Markup(f'<circle cx="{x:.2f}%" cy="{y:.2f}%" r="9" fill="#fff" stroke="{line.colour}"/>'))
            parts.append(Markup(f'<text class="name" x="{x:.2f}%" y="{y:.2f}%" dy=".35em">{line.number}</text>'))
    return parts


def _pieces(points: Sequence[Point]) -> list[list[Point]]:
    """The points that follow each other without a gap."""
    return [list(group) for finite, group in groupby(points, key=lambda point: math.isfinite(point[1])) if finite]


def _joined(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _number_positions(curves: Sequence[list[Point]], count: int) -> list[Point]:
    """A point on each of the first ``count`` curves, off other numbers and as far from other curves as can be."""
    if not count:
        return []
    heights = np.array([[y for _, y in curve] for curve in curves])
    positions: list[Point] = []
    for k, curve in enumerate(curves[:count]):
        others = np.delete(heights, k, axis=0)
        others[~np.isfinite(others)] = np.inf
        nearest = np.vstack([np.full(len(curve), 100.0), others])  # 100: the axis counts, too
        room = np.abs(nearest - heights[k]).min(axis=0)
        finite = [i for i, (_, y) in enumerate(curve) if math.isfinite(y)]
        inside = [i for i in finite if 6 <= curve[i][0] <= 94] or finite
        free = [i for i in inside if _is_apart(curve[i], positions)] or inside
        positions.append(curve[max(free, key=room.__getitem__)])
    return positions


def _is_apart(point: Point, others: Sequence[Point]) -> bool:
    return all(abs(point[0] - x) > DISTANCE[0] or abs(point[1] - y) > DISTANCE[1] for x, y in others)
