"""The flower as triangle meshes, in plain numpy.

A flower has four parts (petals, centre, stem, leaves). Each part is a mesh whose vertices carry weights on the basis of
albedos that ``rendering`` shades and ``variants`` colours. The z axis points up; a full-grown head is 2 units wide.
"""

from dataclasses import dataclass
from typing import overload

import numpy as np

FRAMES = 40
PARTS = {"background": 0, "petals": 1, "centre": 2, "stem": 3, "leaves": 4}

# What a vertex's weights stand for. The first three are coloured per class; the last three are the linear red, green
# and blue of what is the same in every class (centre and stem).
BASIS = ("petal base", "petal tip", "leaf", "red", "green", "blue")

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_STEM_GREEN = np.array([0.085, 0.21, 0.045])


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: V x 3 points.
        normals: V x 3 unit vectors.
        faces: F x 3 indices of vertices.
        weights: V x 6, the albedo of each vertex on BASIS.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def flower(frame: int) -> dict[str, Mesh]:
    """The four parts of the flower by their names in PARTS.

    Args:
        frame: 0 (young, half closed) to 39 (full grown, open); the flower is turned by frame / 40 of a round.
    """
    age = frame / (FRAMES - 1)
    height = _mix(1.15, 1.75, age)
    top, axis = _stem_curve(np.array([1.0]), height)
    head = _frame_of(axis[0])
    scale = _mix(0.66, 1.0, age)
    parts = {
        "petals": _place(_petals(age), scale, head, top[0]),
        "centre": _place(_centre(age), scale, head, top[0]),
        "stem": _stem(height, scale),
        "leaves": _leaves(age, height),
    }
    rotation = _about_z(2 * np.pi * frame / FRAMES)
    return {name: _place(mesh, 1.0, rotation, np.zeros(3)) for name, mesh in parts.items()}


def _petals(age: float) -> Mesh:
    """Two whorls about the z axis that bend outwards with age; deep in colour at the base, bright at the tip."""
    rng = np.random.default_rng(8)  # the same small irregularities in every frame
    opening = age**0.8
    petals = []
    whorls = (  # count, length, half width, angles from the axis at base and tip (degrees): young, open
        (8, 1.0, 0.37, (52, 66), (-14, 99)),
        (7, 0.74, 0.27, (40, 58), (-16, 82)),
    )
    for whorl, (count, length, half_width, base_angles, tip_angles) in enumerate(whorls):
        for k in range(count):
            jitter = rng.uniform(-1, 1, 5)
            base = np.radians(_mix(*base_angles, opening))
            tip = np.radians(_mix(*tip_angles, opening) + 9 * jitter[0] * opening)
            azimuth = 2 * np.pi * (k + 0.5 * whorl) / count + 0.05 * jitter[1]
            u, v = _grid(28, 17)
            width = half_width * (1 + 0.05 * jitter[2]) * _profile(u, 0.75, 0.42)
            bend = _mix(0.55, 0.30, opening) * v**2 * width  # cupped: the edges rise towards the axis
            ruffle = 0.035 * u**2 * np.abs(v) * np.sin(5 * v + 7 * u + 6 * jitter[3])
            notch = 1 - 0.05 * np.exp(-((v / 0.22) ** 2)) * u**8
            points = _blade(u * notch, v, length * (1 + 0.05 * jitter[4]), width, base, tip, bend + ruffle)
            points[:, 0] += 0.11
            points[:, 2] += 0.05 * whorl - 0.02
            vein = 1 - 0.13 * (0.5 + 0.5 * np.cos(9 * np.pi * v)) * (1 - 0.6 * u)
            vein -= 0.12 * np.exp(-((v / 0.07) ** 2)) * (1 - u)
            rise = 0.02 + 0.96 * np.clip((u - 0.08) / 0.92, 0, 1) ** 1.1  # never 0 or 1: rounding would go below 0
            weights = np.zeros((u.size, 6))
            weights[:, 0] = (1 - rise) * vein
            weights[:, 1] = rise * vein
            petals.append(_mesh(points @ _about_z(azimuth).T, _quads(28, 17), weights))
    return _join(petals)


def _leaves(age: float, height: float) -> Mesh:
    """Five pointed leaves up the stem in a spiral, folded along a light midrib, drooping as they grow."""
    leaves = []
    for k in range(5):
        root, _ = _stem_curve(np.array([0.10 + 0.105 * k]), height)
        size = _mix(0.74, 1.0, age) * (1.12 - 0.085 * k)
        u, v = _grid(30, 15)
        width = 0.285 * size * (_profile(u, 1.0, 0.95) + 0.05 * (1 - u))
        fold = 0.5 * np.sqrt(v**2 + 0.01) * width + 0.022 * np.sin(13 * u + k) * v**2
        base, tip = np.radians(_mix(34, 46, age)), np.radians(_mix(88, 122, age))
        points = _blade(u, v, 1.22 * size, width, base, tip, fold)
        sides = 0.5 + 0.5 * np.cos(2 * np.pi * (9 * u - 2.6 * np.abs(v)))
        shade = 0.86 - 0.16 * sides * np.abs(v) ** 0.5 * (1 - 0.7 * u) + 0.34 * np.exp(-((v / 0.09) ** 2)) + 0.08 * u
        weights = np.zeros((u.size, 6))
        weights[:, 2] = shade
        leaves.append(_mesh(points @ _about_z(0.5 + k * _GOLDEN_ANGLE).T + root[0], _quads(30, 15), weights))
    return _join(leaves)


def _centre(age: float) -> Mesh:
    """A dark dome studded with florets in a golden-angle spiral, with a ring of ivory anthers at its rim."""
    radius = _mix(0.15, 0.225, age)
    u, v = _grid(12, 33)
    polar, around = u * np.pi * 0.5, (v + 1) * np.pi
    dome = radius * np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), 0.62 * np.cos(polar)], axis=1
    )
    dark = np.array([0.020, 0.014, 0.026])
    pieces = [_mesh(dome, _quads(12, 33), _fixed(dark, u.size))]
    count = 120
    for k in range(count):
        distance = np.sqrt((k + 0.5) / count)
        tilt, turn = distance * np.pi * 0.47, k * _GOLDEN_ANGLE
        outwards = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), 0.62 * np.cos(tilt)])
        colour = _mix(dark * 1.6, np.array([0.085, 0.055, 0.085]), distance**2)
        pieces.append(_ball(radius * outwards, 0.085 * radius, colour))
    ivory = np.array([0.80, 0.70, 0.46])
    for k in range(34):
        turn = 2 * np.pi * k / 34
        reach, lift = radius * (1.12 + 0.14 * (k % 2)), 0.09 + 0.045 * ((k * 7) % 5) / 4
        pieces.append(_ball(np.array([reach * np.cos(turn), reach * np.sin(turn), lift]), 0.021, ivory))
    mesh = _join(pieces)
    return _place(mesh, 1.0, np.eye(3), np.array([0, 0, 0.07]))


def _stem(height: float, scale: float) -> Mesh:
    """A gently curved tube that widens into the cup under the head."""
    u, v = _grid(40, 17)
    line, tangent = _stem_curve(u, height)
    cup = np.clip((u - 0.92) / 0.08, 0, 1)
    radius = 0.052 - 0.014 * u + 0.135 * scale * cup**2
    around = (v + 1) * np.pi
    side = _unit(np.cross(tangent, [0.0, 1.0, 0.0]))
    front = np.cross(tangent, side)
    points = line + radius[:, None] * (np.cos(around)[:, None] * side + np.sin(around)[:, None] * front)
    return _mesh(points, _quads(40, 17), _fixed(_STEM_GREEN, u.size) * (0.85 + 0.3 * u)[:, None])


def _stem_curve(u: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and unit tangents (N, 3) of the stem's centre line at ``u`` in [0, 1], root to head."""
    start, knee, end = np.zeros(3), np.array([-0.16, 0.05, 0.62 * height]), np.array([0.06, -0.02, height])
    u = np.asarray(u, dtype=float)[:, None]
    point = (1 - u) ** 2 * start + 2 * u * (1 - u) * knee + u**2 * end
    return point, _unit(2 * (1 - u) * (knee - start) + 2 * u * (end - knee))


def _blade(
    u: np.ndarray, v: np.ndarray, length: float, width: np.ndarray, base: float, tip: float, lift: np.ndarray
) -> np.ndarray:
    """Vertices (N, 3) of a curved sheet along x and z.

    The angle of its midline from the z axis runs from ``base`` to ``tip`` (radians). ``width`` is the half width and
    ``lift`` the offset along the upper normal of the sheet, both per vertex.
    """
    steps = np.linspace(0, 1, 201)
    angle = _mix(base, tip, steps)
    x = np.concatenate([[0], np.cumsum(0.5 * (np.sin(angle[1:]) + np.sin(angle[:-1])))]) / 200
    z = np.concatenate([[0], np.cumsum(0.5 * (np.cos(angle[1:]) + np.cos(angle[:-1])))]) / 200
    slope = _mix(base, tip, u)
    midline_x, midline_z = np.interp(u, steps, x) * length, np.interp(u, steps, z) * length
    return np.stack([midline_x - np.cos(slope) * lift, v * width, midline_z + np.sin(slope) * lift], axis=1)


def _profile(u: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """Half width of a blade along ``u``, 0 at both ends and 1 at its widest; small exponents make blunt ends."""
    peak = rise / (rise + fall)
    return (u / peak) ** rise * ((1 - u) / (1 - peak)) ** fall


def _ball(centre: np.ndarray, radius: float, colour: np.ndarray) -> Mesh:
    """A small sphere of one linear colour (3,)."""
    u, v = _grid(6, 9)
    polar, around = u * np.pi, (v + 1) * np.pi
    shell = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1)
    return Mesh(centre + radius * shell, shell, _quads(6, 9), _fixed(colour, u.size))


def _fixed(colour: np.ndarray, count: int) -> np.ndarray:
    """Weights (count, 6) of a linear colour (3,) that is the same in every class."""
    return np.tile(np.concatenate([np.zeros(3), colour]), (count, 1))


def _grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat parameters of a sheet: u in [0, 1] down the rows, v in [-1, 1] along the columns."""
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    return u.ravel(), v.ravel()


def _quads(rows: int, columns: int) -> np.ndarray:
    """Two triangles for every cell of a ``_grid``."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, down, across = corner + 1, corner + columns, corner + columns + 1
    return np.concatenate([np.stack([corner, down, across], 1), np.stack([corner, across, right], 1)])


def _mesh(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> Mesh:
    """A mesh with smooth normals: the area-weighted mean of the faces around each vertex."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return Mesh(vertices, _unit(normals), faces, weights)


def _join(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=True)]),
        np.concatenate([m.weights for m in meshes]),
    )


def _place(mesh: Mesh, scale: float, rotation: np.ndarray, shift: np.ndarray) -> Mesh:
    """The mesh scaled, rotated (3, 3) and shifted (3,)."""
    return Mesh(scale * mesh.vertices @ rotation.T + shift, mesh.normals @ rotation.T, mesh.faces, mesh.weights)


def _frame_of(axis: np.ndarray) -> np.ndarray:
    """The rotation whose third column is the unit vector ``axis``."""
    x = _unit(np.cross([0.0, 1.0, 0.0], axis))
    return np.stack([x, np.cross(axis, x), axis], axis=1)


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors (..., 3) at length 1."""
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


@overload
def _mix(a: float, b: float, t: float) -> float: ...
@overload
def _mix(a: float, b: float, t: np.ndarray) -> np.ndarray: ...
@overload
def _mix(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray: ...
def _mix(a: float | np.ndarray, b: float | np.ndarray, t: float | np.ndarray) -> float | np.ndarray:
    """Linear interpolation: ``a`` at t = 0, ``b`` at t = 1."""
    return a + (b - a) * t
