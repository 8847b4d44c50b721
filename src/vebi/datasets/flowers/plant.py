"""The parts of a flower: petals, centre, stem, leaves and a pot.

Every part is given rows of weights (K,) for what its vertices are made of; what K stands for is up to ``scene``. The z
axis points up; a full-grown head is 2 units wide. ``age`` runs from 0 (young, half closed) to 1 (full grown, open).
"""

import numpy as np

from vebi.datasets.flowers.forms import ROUND, PetalForm
from vebi.datasets.flowers.meshes import (
    Mesh,
    about_z,
    ball,
    blade,
    grid,
    join,
    mesh,
    mix,
    painted,
    place,
    profile,
    quads,
    unit,
)

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))

# angles of a petal's midline from the axis at base and tip (degrees), each young and open, of the two whorls
_BASE_ANGLES = ((52, 66), (40, 58))
_TIP_ANGLES = ((-14, 99), (-16, 82))


def petals(
    age: float, base_row: np.ndarray, tip_row: np.ndarray, edge_row: np.ndarray | None = None, form: PetalForm = ROUND
) -> Mesh:
    """Two whorls about the z axis that bend outwards with age.

    Args:
        age: In [0, 1].
        base_row: Weights of the base of a petal, which go over to those of its tip.
        tip_row: Weights of its tip.
        edge_row: Weights of its edge where that differs.
        form: The outline of a petal.
    """
    rng = np.random.default_rng(8)  # the same small irregularities in every frame
    opening = age**0.8 * form.opening
    parts = []
    rows, columns = (28, 17) if form == ROUND else (40, 25)
    for whorl in range(2):
        count, length, half_width = form.counts[whorl], form.lengths[whorl], form.half_widths[whorl]
        for k in range(count):
            jitter = rng.uniform(-1, 1, 5)
            base = np.radians(mix(*_BASE_ANGLES[whorl], opening))
            tip = np.radians(mix(*_TIP_ANGLES[whorl], opening) + 9 * jitter[0] * opening)
            azimuth = 2 * np.pi * (k + 0.5 * whorl) / count + 0.05 * jitter[1]
            u, v = grid(rows, columns)
            width = half_width * (1 + 0.05 * jitter[2]) * profile(u, form.rise, form.fall)
            bend = mix(0.55, 0.30, opening) * v**2 * width  # cupped: the edges rise towards the axis
            ruffle = 0.035 * u**2 * np.abs(v) * np.sin(5 * v + 7 * u + 6 * jitter[3])
            notch = 1 - form.notch * np.exp(-((v / form.notch_width) ** 2)) * u**8
            points = blade(u * notch, v, length * (1 + 0.05 * jitter[4]), width, base, tip, bend + ruffle)
            points[:, 0] += 0.11
            points[:, 2] += 0.05 * whorl - 0.02
            vein = 1 - 0.13 * (0.5 + 0.5 * np.cos(9 * np.pi * v)) * (1 - 0.6 * u)
            vein -= 0.12 * np.exp(-((v / 0.07) ** 2)) * (1 - u)
            rise = 0.02 + 0.96 * np.clip((u - 0.08) / 0.92, 0, 1) ** 1.1  # never 0 or 1: rounding would go below 0
            weights = np.outer((1 - rise) * vein, base_row) + np.outer(rise * vein, tip_row)
            if edge_row is not None:
                edge = np.maximum(_step(np.abs(v), 0.62, 0.78), _step(u, 0.84, 0.92))[:, None]
                weights = (1 - edge) * weights + edge * np.outer(vein, edge_row)
            parts.append(mesh(points @ about_z(azimuth).T, quads(rows, columns), weights))
    return join(parts)


def leaves(age: float, height: float, row: np.ndarray, edge_row: np.ndarray | None = None) -> Mesh:
    """Five pointed leaves up the stem in a spiral, folded along a light midrib, drooping as they grow.

    Args:
        age: In [0, 1].
        height: Height of the stem.
        row: Weights of a leaf.
        edge_row: Weights of its edge where that differs.
    """
    parts = []
    for k in range(5):
        root, _ = stem_curve(np.array([0.10 + 0.105 * k]), height)
        size = mix(0.74, 1.0, age) * (1.12 - 0.085 * k)
        u, v = grid(30, 15)
        width = 0.285 * size * (profile(u, 1.0, 0.95) + 0.05 * (1 - u))
        fold = 0.5 * np.sqrt(v**2 + 0.01) * width + 0.022 * np.sin(13 * u + k) * v**2
        base, tip = np.radians(mix(34, 46, age)), np.radians(mix(88, 122, age))
        points = blade(u, v, 1.22 * size, width, base, tip, fold)
        sides = 0.5 + 0.5 * np.cos(2 * np.pi * (9 * u - 2.6 * np.abs(v)))
        shade = 0.86 - 0.16 * sides * np.abs(v) ** 0.5 * (1 - 0.7 * u) + 0.34 * np.exp(-((v / 0.09) ** 2)) + 0.08 * u
        weights = np.outer(shade, row)
        if edge_row is not None:
            edge = _step(np.abs(v), 0.45, 0.65)[:, None]
            weights = (1 - edge) * weights + edge * np.outer(shade, edge_row)
        parts.append(mesh(points @ about_z(0.5 + k * _GOLDEN_ANGLE).T + root[0], quads(30, 15), weights))
    return join(parts)


def centre(age: float, inner_row: np.ndarray, outer_row: np.ndarray, anther_row: np.ndarray) -> Mesh:
    """A dome studded with florets in a golden-angle spiral, with a ring of anthers at its rim.

    Args:
        age: In [0, 1].
        inner_row: Weights of the dome; the florets go from brighter ones of these to ``outer_row``.
        outer_row: Weights of the outermost florets.
        anther_row: Weights of the anthers.
    """
    radius = mix(0.15, 0.225, age)
    u, v = grid(12, 33)
    polar, around = u * np.pi * 0.5, (v + 1) * np.pi
    dome = radius * np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), 0.62 * np.cos(polar)], axis=1
    )
    pieces = [mesh(dome, quads(12, 33), painted(inner_row, u.size))]
    count = 120
    for k in range(count):
        distance = np.sqrt((k + 0.5) / count)
        tilt, turn = distance * np.pi * 0.47, k * _GOLDEN_ANGLE
        outwards = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), 0.62 * np.cos(tilt)])
        row = inner_row * 1.6 + (outer_row - inner_row * 1.6) * distance**2
        pieces.append(ball(radius * outwards, 0.085 * radius, row))
    for k in range(34):
        turn = 2 * np.pi * k / 34
        reach, lift = radius * (1.12 + 0.14 * (k % 2)), 0.09 + 0.045 * ((k * 7) % 5) / 4
        pieces.append(ball(np.array([reach * np.cos(turn), reach * np.sin(turn), lift]), 0.021, anther_row))
    return place(join(pieces), 1.0, np.eye(3), np.array([0, 0, 0.07]))


def stem(height: float, scale: float, row: np.ndarray) -> Mesh:
    """A gently curved tube that widens into the cup under the head, whose size is ``scale``."""
    u, v = grid(40, 17)
    line, tangent = stem_curve(u, height)
    cup = np.clip((u - 0.92) / 0.08, 0, 1)
    radius = 0.052 - 0.014 * u + 0.135 * scale * cup**2
    around = (v + 1) * np.pi
    side = unit(np.cross(tangent, [0.0, 1.0, 0.0]))
    front = np.cross(tangent, side)
    points = line + radius[:, None] * (np.cos(around)[:, None] * side + np.sin(around)[:, None] * front)
    return mesh(points, quads(40, 17), painted(row, u.size) * (0.85 + 0.3 * u)[:, None])


def pot(row: np.ndarray, soil_row: np.ndarray) -> Mesh:
    """A round pot with a rim under the root of the stem, filled with soil."""
    heights = np.array([-0.30, -0.30, -0.02, -0.02, 0.06, 0.06, 0.0, 0.0])
    radii = np.array([0.0, 0.19, 0.265, 0.30, 0.31, 0.265, 0.26, 0.0])
    columns = 41
    around = np.linspace(0, 2 * np.pi, columns)
    pieces = []
    for k in range(len(radii) - 1):  # ring by ring, so that edges stay sharp
        ends = [
            np.stack([r * np.cos(around), r * np.sin(around), np.full(columns, z)], axis=1)
            for r, z in ((radii[k], heights[k]), (radii[k + 1], heights[k + 1]))
        ]
        points = np.concatenate(ends)
        is_soil = k == len(radii) - 2
        pieces.append(mesh(points, quads(2, columns), painted(soil_row if is_soil else row, len(points))))
    return join(pieces)


def stem_curve(u: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and unit tangents (N, 3) of the stem's centre line at ``u`` in [0, 1], root to head."""
    start, knee, end = np.zeros(3), np.array([-0.16, 0.05, 0.62 * height]), np.array([0.06, -0.02, height])
    u = np.asarray(u, dtype=float)[:, None]
    point = (1 - u) ** 2 * start + 2 * u * (1 - u) * knee + u**2 * end
    return point, unit(2 * (1 - u) * (knee - start) + 2 * u * (end - knee))


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    smooth: np.ndarray = t * t * (3 - 2 * t)
    return smooth
