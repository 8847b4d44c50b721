"""A chart puts every value where it belongs, and tells its lines apart without colour."""

import math
import re

import html5lib
import numpy as np
import pytest

from vebi.reports.svg_chart import DISTANCE, ceiling, line_chart, step
from vebi.reports.svg_line import STROKES, Line


def polylines(chart):
    return [
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'polyline points="([^"]+)"', chart)
    ]


def numbers(chart):
    found = re.findall(r'class="name" x="([\d.]+)%" y="([\d.]+)%" dy="[^"]+">(\d)<', chart)
    return {int(name): (float(x), float(y)) for x, y, name in found}


def test_points_lie_where_the_values_say():
    assert Line(1, (0, 20, 40)).points(40) == [(0, 100), (50, 50), (100, 0)]
    chart = line_chart([Line(1, (0, 20, 40)), Line(2, (40, 30, 10))], 40, "x")
    second, first = polylines(chart)
    assert first == [(0, 100), (50, 50), (100, 0)]
    assert second == [(0, 0), (50, 25), (100, 75)]


def test_both_axes_are_marked():
    chart = line_chart([Line(1, (0, 60))], 60, "x")
    for tick in ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0", ">0<", ">20<", ">40<", ">60<"):
        assert tick in chart
    assert re.search(r'y="66\.67%"[^>]*>20<', chart)
    assert re.search(r'y="0\.00%"[^>]*>60<', chart)


def test_numbers_stand_on_their_lines_and_apart():
    lines = [Line(1, range(101)), Line(2, [value / 2 for value in range(101)]), Line(3, [v / 2 for v in range(101)])]
    places = numbers(line_chart(lines, 100, "x"))
    assert places[1][1] == pytest.approx(100 - places[1][0])
    assert places[2][1] == pytest.approx(100 - places[2][0] / 2)
    assert places[1][0] > 90  # where the two are farthest apart
    (a, b), (c, d) = places[2], places[3]  # the same line twice
    assert abs(a - c) > 7 or abs(b - d) > 9
    short = numbers(line_chart([Line(1, (5, 5)), Line(2, (1, 0))], 10, "x"))
    assert short == {1: (100, 50), 2: (0, 90)}  # no point in the middle
    assert numbers(line_chart([Line(1, (5, 5))], 10, "x")) == {}  # alone it needs no name


def test_lines_differ_without_colour():
    strokes = [Line(k + 1, ()).stroke for k in range(len(STROKES))]
    assert len(set(strokes)) == len(strokes) == 7
    assert Line(8, ()).stroke == strokes[1]
    assert float(re.search(r'width="(\d+)"', strokes[0])[1]) > float(re.search(r'width="(\d+)"', strokes[1])[1])


def test_what_is_described_is_text():
    chart = line_chart([Line(1, (0, 1))], 10, 'a "<b>" & c')
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
        f"<!DOCTYPE html><html><head><title>x</title></head><body>{chart}</body></html>"
    )
    assert [e.get("aria-label") for e in tree.iter() if e.get("aria-label")] == ['a "<b>" & c']


def test_the_numbers_up_the_side_are_few_and_round():
    assert [step(top) for top in (1, 5, 6, 10, 20, 25, 60, 100, 175, 2000)] == [1, 1, 2, 2, 5, 5, 20, 20, 50, 500]


def test_the_scale_ends_above_the_highest_value():
    assert [ceiling(values, 10) for values in ((), (0,), (10,), (10.1, 3), (46.3,))] == [10, 10, 10, 20, 50]


def test_a_line_has_gaps_where_it_has_no_values():
    nan = float("nan")
    chart = line_chart([Line(1, (nan, 0, 10, nan, nan, 10)), Line(2, (nan, nan, nan, nan, 5, 5))], 10, "x")
    assert polylines(chart) == [[(80, 50), (100, 50)], [(20, 100), (40, 0)], [(100, 0)]]
    assert numbers(chart)[1] == (40, 0)
    assert numbers(chart)[2] == (80, 50)


def number_positions(curves):
    """Where the numbers stand, written out point by point."""
    positions = []
    for i, curve in enumerate(curves):
        finite = [k for k, (_, y) in enumerate(curve) if math.isfinite(y)]
        inside = [k for k in finite if 6 <= curve[k][0] <= 94] or finite
        free = []
        for k in inside:
            x, y = curve[k]
            if all(abs(x - u) > DISTANCE[0] or abs(y - v) > DISTANCE[1] for u, v in positions):
                free.append(k)
        best, most = None, -1.0
        for k in free or inside:
            heights = [100.0, *(other[k][1] for j, other in enumerate(curves) if j != i)]
            room = min(abs(height - curve[k][1]) for height in heights if math.isfinite(height))
            if room > most:
                best, most = k, room
        positions.append(curve[best])
    return positions


@pytest.mark.parametrize("seed", range(5))
def test_numbers_stand_where_there_is_most_room(seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 100, (7, 30)).round()
    values[rng.random(values.shape) < 0.3] = np.nan
    lines = [Line(k + 1 if k < 5 else 0, row.tolist()) for k, row in enumerate(values)]  # faint ones have no number
    expected = number_positions([line.points(100) for line in lines])[:5]
    positions = numbers(line_chart(lines, 100, "x"))
    assert [positions[k + 1] for k in range(5)] == [pytest.approx(point, abs=0.006) for point in expected]
    assert len(positions) == 5
