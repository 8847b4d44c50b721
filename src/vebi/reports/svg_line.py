"""Lines and axes of charts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

#: Colour, dashes and width by the number of a line, told apart without colour vision; the first stands out.
STROKES = (
    ("#931f61", "", 4),
    ("#0072b2", "", 2),
    ("#1e1e26", "1.5 3.5", 2),
    ("#d55e00", "", 2),
    ("#00795a", "", 2),
    ("#1e1e26", "7 5", 2),
    ("#9a6a00", "10 4 2 4", 2),
)
UNNUMBERED = ("#b4b4be", "", 1)

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """The axis across a chart.

    Attributes:
        low: Value at the left end.
        high: Value at the right end.
        ticks: Values that are marked.
        log: Whether the scale is logarithmic.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def percent(self, value: float) -> float:
        """Where a value lies, in percent from the left end."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return 100 * (value - low) / (high - low) if high > low else 50.0


UNIT = Axis(0, 1, tuple(k / 5 for k in range(6)))


@dataclass(frozen=True)
class Line:
    """A curve, with or without a band.

    Attributes:
        number: What names it, from 1; 0 for one among many that are not named.
        values: Heights, NaN where there is no line.
        positions: Values of the axis that they stand at; by default in even steps from end to end.
        band: Lower and upper end of an interval around each value; may be empty.
    """

    number: int
    values: Sequence[float]
    positions: Sequence[float] | None = None
    band: Sequence[tuple[float, float]] = field(default=(), repr=False)

    @property
    def colour(self) -> str:
        """Of the stroke."""
        return _stroke(self.number)[0]

    @property
    def stroke(self) -> Markup:
        """Attributes of whatever is drawn for the line."""
        colour, dashes, width = _stroke(self.number)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return Markup(f'fill="none" stroke="{colour}" stroke-width="{width}"{dashed}')

    def points(self, top: float, axis: Axis = UNIT) -> list[Point]:
        """In percent of a chart up to ``top``, from its upper left corner."""
        return [(x, 100 - 100 * value / top) for x, value in zip(self._across(axis), self.values, strict=True)]

    def outline(self, top: float, axis: Axis = UNIT) -> list[Point]:
        """Of the band, likewise, clipped to the chart."""
        low, high = ([(x, ends[k]) for x, ends in zip(self._across(axis), self.band, strict=True)] for k in (0, 1))
        return [(x, 100 - 100 * min(max(value, 0), top) / top) for x, value in (*high, *reversed(low))]

    def _across(self, axis: Axis) -> list[float]:
        if self.positions is not None:
            return [axis.percent(value) for value in self.positions]
        return [100 * k / (len(self.values) - 1) for k in range(len(self.values))]


def _stroke(number: int) -> tuple[str, str, int]:
    """The first stroke is that of line 1 alone; beyond the last, the others are used again."""
    if number == 0:
        return UNNUMBERED
    return STROKES[0] if number == 1 else STROKES[1 + (number - 2) % (len(STROKES) - 1)]
