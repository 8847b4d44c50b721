"""Curves over one axis as SVG that keeps the size of its letters and strokes whatever its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from markupsafe import Markup, escape

#: Colour, dashes and width by the line's number, told apart without colour vision; the first stands out.
STROKES = (
    ("#931f61", "", 4),
    ("#0072b2", "", 2),
    ("#1e1e26", "1.5 3.5", 2),
    ("#d55e00", "", 2),
    ("#00795a", "", 2),
    ("#1e1e26", "7 5", 2),
    ("#9a6a00", "10 4 2 4", 2),
)
UNNAMED = ("#b4b4be", "", 1)
#: How far the numbers on a chart stand from each other, across and up, in percent of it.
APART = (7, 9)


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``, evenly or by the logarithm; ``ticks`` are values that are marked."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """In percent from the low end."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return 100 * (value - low) / (high - low) if high > low else 50.0


UNIT = Axis(0, 1, tuple(k / 5 for k in range(6)))


@dataclass(frozen=True)
class Line:
    """``values``, NaN where there is no line, and the ``number`` that names it, 0 for one among many without a name.
    They stand ``at`` places of the axis across, by default at even steps from end to end. ``band``: the ends of an
    interval around each value.
    """

    number: int
    values: Sequence[float]
    at: Sequence[float] | None = None
    band: Sequence[tuple[float, float]] = field(default=(), repr=False)

    @property
    def colour(self) -> str:
        return _stroke(self.number)[0]

    @property
    def stroke(self) -> Markup:
        """Attributes of whatever is drawn for the line."""
        colour, dashes, width = _stroke(self.number)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return Markup(f'fill="none" stroke="{colour}" stroke-width="{width}"{dashed}')

    def points(self, top: float, across: Axis = UNIT) -> list[tuple[float, float]]:
        """In percent of a chart up to ``top``, from its upper left corner."""
        return [(x, 100 - 100 * value / top) for x, value in zip(self._places(across), self.values, strict=True)]

    def outline(self, top: float, across: Axis = UNIT) -> list[tuple[float, float]]:
        """Of the band, likewise."""
        low, high = ([(x, ends[k]) for x, ends in zip(self._places(across), self.band, strict=True)] for k in (0, 1))
        return [(x, 100 - 100 * min(max(value, 0), top) / top) for x, value in (*high, *reversed(low))]

    def _places(self, across: Axis) -> list[float]:
        if self.at is not None:
            return [across.place(value) for value in self.at]
        return [100 * k / (len(self.values) - 1) for k in range(len(self.values))]


def _stroke(number: int) -> tuple[str, str, int]:
    """The first is the first line's alone; beyond the last the others come again."""
    if number == 0:
        return UNNAMED
    return STROKES[0] if number == 1 else STROKES[1 + (number - 2) % (len(STROKES) - 1)]


def ceiling(values: Sequence[float], step: int = 10) -> int:
    """The lowest multiple of ``step`` above 0 that no value exceeds."""
    return max(step, -int(-max(values, default=0) // step) * step)


def line_chart(
    lines: Sequence[Line], top: float, described: str, across: Axis = UNIT, marks: Sequence[tuple[float, str]] = ()
) -> Markup:
    """A chart from 0 to ``top`` up, each line with its number where it runs freest; ``marks`` (value, label) stand
    upright at values of the axis ``across``.

    The curves alone are stretched to the size that the page gives the chart; letters and numbers are placed in percent.
    A line without a value is left out.
    """
    lines = [line for line in lines if any(map(math.isfinite, line.values))]
    parts = [f'<svg class="chart" role="img" aria-label="{escape(described)}">']
    for value in range(0, int(top) + 1, step(top)):
        y = 100 - 100 * value / top
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        parts.append(f'<text x="0" y="{y:.2f}%" dx="-8" dy=".35em" text-anchor="end">{value}</text>')
    for value in across.ticks:
        label = f"{value:g}" if across.log else f"{value:.1f}"
        parts.append(f'<text x="{across.place(value):.2f}%" y="100%" dy="1.5em" text-anchor="middle">{label}</text>')
    for value, label in marks:
        x = across.place(value)
        side = "start" if x < 20 else "end" if x > 80 else "middle"
        parts.append(f'<line class="level" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>')
        parts.append(f'<text x="{x:.2f}%" y="0" dy="-1.1em" text-anchor="{side}">{escape(label)}</text>')
    parts.append('<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">')
    for line in lines:
        if line.band:
            parts.append(f'<polygon points="{_joined(line.outline(top, across))}" fill="{line.colour}" opacity=".15"/>')
    for line in (*lines[1:], *lines[:1]):  # the first lies above the others
        for piece in _pieces(line.points(top, across)):
            parts.append(f'<polyline points="{_joined(piece)}" vector-effect="non-scaling-stroke" {line.stroke}/>')
    parts.append("</svg>")
    for line, (x, y) in zip(lines, _places([line.points(top, across) for line in lines]), strict=True):
        if line.number and len(lines) > 1:
            parts.append(f'<circle cx="{x:.2f}%" cy="{y:.2f}%" r="9" fill="#fff" stroke="{line.colour}"/>')
            parts.append(f'<text class="name" x="{x:.2f}%" y="{y:.2f}%" dy=".35em">{line.number}</text>')
    return Markup("\n".join([*parts, "</svg>"]))


def step(top: float) -> int:
    """Between the numbers up the side, of which there are six at most: 1, 2 or 5 and their tenfolds."""
    return next(digit * 10**k for k in range(10) for digit in (1, 2, 5) if top <= 5 * digit * 10**k)


def _pieces(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The points that follow each other without a gap."""
    return [list(some) for there, some in groupby(points, key=lambda point: math.isfinite(point[1])) if there]


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _places(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """A point on every curve, off the numbers of others and as far from other curves as there is room."""
    found: list[tuple[float, float]] = []
    for own, curve in enumerate(curves):
        there = [(k, point) for k, point in enumerate(curve) if math.isfinite(point[1])]
        inside = [(k, point) for k, point in there if 6 <= point[0] <= 94] or there
        free = [
            (k, (x, y)) for k, (x, y) in inside if all(abs(x - u) > APART[0] or abs(y - v) > APART[1] for u, v in found)
        ] or inside

        def room(spot: tuple[int, tuple[float, float]], own: int = own) -> float:
            others = [100.0, *(other[spot[0]][1] for i, other in enumerate(curves) if i != own)]  # 100: the axis
            return min(abs(y - spot[1][1]) for y in others if math.isfinite(y))

        found.append(max(free, key=room)[1])
    return found
