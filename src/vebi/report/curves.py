"""Curves over one axis as SVG that keeps the size of its letters and strokes whatever its width."""

from collections.abc import Sequence
from dataclasses import dataclass

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
#: How far the numbers on a chart stand from each other, across and up, in percent of it.
APART = (7, 9)


@dataclass(frozen=True)
class Line:
    """``values`` at even steps from the left end of the axis to its right one, and the ``number`` that names it."""

    number: int
    values: Sequence[float]

    @property
    def colour(self) -> str:
        return _stroke(self.number)[0]

    @property
    def stroke(self) -> Markup:
        """Attributes of whatever is drawn for the line."""
        _, dashes, width = _stroke(self.number)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return Markup(f'fill="none" stroke="{self.colour}" stroke-width="{width}"{dashed}')

    def points(self, top: float) -> list[tuple[float, float]]:
        """In percent of the chart, from its upper left corner."""
        last = len(self.values) - 1
        return [(100 * k / last, 100 - 100 * value / top) for k, value in enumerate(self.values)]


def _stroke(number: int) -> tuple[str, str, int]:
    """The first is the first line's alone; beyond the last the others come again."""
    return STROKES[0] if number == 1 else STROKES[1 + (number - 2) % (len(STROKES) - 1)]


def ceiling(values: Sequence[float], step: int = 10) -> int:
    """The lowest multiple of ``step`` above 0 that no value exceeds."""
    return max(step, -int(-max(values, default=0) // step) * step)


def line_chart(lines: Sequence[Line], top: float, described: str) -> Markup:
    """A chart from 0 to 1 across and from 0 to ``top`` up, each line with its number where it runs freest.

    The curves alone are stretched to the size that the page gives the chart; letters and numbers are placed in percent.
    """
    step = 20 if top > 50 else 10
    parts = [f'<svg class="chart" role="img" aria-label="{escape(described)}">']
    for value in range(0, int(top) + 1, step):
        y = 100 - 100 * value / top
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        parts.append(f'<text x="0" y="{y:.2f}%" dx="-8" dy=".35em" text-anchor="end">{value}</text>')
    for k in range(6):
        parts.append(f'<text x="{20 * k}%" y="100%" dy="1.5em" text-anchor="middle">{0.2 * k:.1f}</text>')
    parts.append('<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">')
    for line in (*lines[1:], *lines[:1]):  # the first lies above the others
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in line.points(top))
        parts.append(f'<polyline points="{points}" vector-effect="non-scaling-stroke" {line.stroke}/>')
    parts.append("</svg>")
    for line, (x, y) in zip(lines, _places([line.points(top) for line in lines]), strict=True):
        parts.append(f'<circle cx="{x:.2f}%" cy="{y:.2f}%" r="9" fill="#fff" stroke="{line.colour}"/>')
        parts.append(f'<text class="name" x="{x:.2f}%" y="{y:.2f}%" dy=".35em">{line.number}</text>')
    return Markup("\n".join([*parts, "</svg>"]))


def _places(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """A point on every curve, off the numbers of others and as far from other curves as there is room."""
    found: list[tuple[float, float]] = []
    for own, curve in enumerate(curves):
        inside = [(k, point) for k, point in enumerate(curve) if 6 <= point[0] <= 94] or list(enumerate(curve))
        free = [
            (k, (x, y)) for k, (x, y) in inside if all(abs(x - u) > APART[0] or abs(y - v) > APART[1] for u, v in found)
        ] or inside

        def room(spot: tuple[int, tuple[float, float]], own: int = own) -> float:
            return min((abs(other[spot[0]][1] - spot[1][1]) for i, other in enumerate(curves) if i != own), default=0)

        found.append(max(free, key=room)[1])
    return found
