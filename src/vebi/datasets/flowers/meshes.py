"""Triangle meshes whose vertices carry weights, and the curved sheets that plants are made of, in plain numpy."""

from dataclasses import dataclass
from typing import overload

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: V x 3 points.
        normals: V x 3 unit vectors.
        faces: F x 3 indices of vertices.
        weights: V x K, the albedo of each vertex on a basis of K, see ``scene``.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def blade(
    u: np.ndarray, v: np.ndarray, length: float, width: np.ndarray, base: float, tip: float, lift: np.ndarray
) -> np.ndarray:
    """Vertices (N, 3) of a curved sheet along x and z.

    The angle of its midline from the z axis runs from ``base`` to ``tip`` (radians). ``width`` is the half width and
    ``lift`` the offset along the upper normal of the sheet, both per vertex.
    """
    steps = np.linspace(0, 1, 201)
    angle = mix(base, tip, steps)
    x = np.concatenate([[0], np.cumsum(0.5 * (np.sin(angle[1:]) + np.sin(angle[:-1])))]) / 200
    z = np.concatenate([[0], np.cumsum(0.5 * (np.cos(angle[1:]) + np.cos(angle[:-1])))]) / 200
    slope = mix(base, tip, u)
    midline_x, midline_z = np.interp(u, steps, x) * length, np.interp(u, steps, z) * length
    return np.stack([midline_x - np.cos(slope) * lift, v * width, midline_z + np.sin(slope) * lift], axis=1)


def profile(u: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """Half width of a blade along ``u``, 0 at both ends and 1 at its widest; small exponents make blunt ends."""
    peak = rise / (rise + fall)
    return (u / peak) ** rise * ((1 - u) / (1 - peak)) ** fall


def ball(centre: np.ndarray, radius: float, row: np.ndarray) -> Mesh:
    """A small sphere with the same weights ``row`` (K,) everywhere."""
    u, v = grid(6, 9)
    polar, around = u * np.pi, (v + 1) * np.pi
    shell = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1)
    return Mesh(centre + radius * shell, shell, quads(6, 9), painted(row, u.size))


def painted(row: np.ndarray, count: int) -> np.ndarray:
    """Weights (count, K): the same ``row`` (K,) for every vertex."""
    return np.tile(row, (count, 1))


def grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat parameters of a sheet: u in [0, 1] down the rows, v in [-1, 1] along the columns."""
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    return u.ravel(), v.ravel()


def quads(rows: int, columns: int) -> np.ndarray:
    """Two triangles for every cell of a ``_grid``."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, down, across = corner + 1, corner + columns, corner + columns + 1
    return np.concatenate([np.stack([corner, down, across], 1), np.stack([corner, across, right], 1)])


def mesh(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> Mesh:
    """A mesh with smooth normals: the area-weighted mean of the faces around each vertex."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return Mesh(vertices, unit(normals), faces, weights)


def join(meshes: list[Mesh]) -> Mesh:
    """All meshes as one."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=True)]),
        np.concatenate([m.weights for m in meshes]),
    )


def place(mesh: Mesh, scale: float, rotation: np.ndarray, shift: np.ndarray) -> Mesh:
    """The mesh scaled, rotated (3, 3) and shifted (3,)."""
    return Mesh(scale * mesh.vertices @ rotation.T + shift, mesh.normals @ rotation.T, mesh.faces, mesh.weights)


def frame_of(axis: np.ndarray) -> np.ndarray:
    """The rotation whose third column is the unit vector ``axis``."""
    x = unit(np.cross([0.0, 1.0, 0.0], axis))
    return np.stack([x, np.cross(axis, x), axis], axis=1)


def about_z(angle: float) -> np.ndarray:
    """The rotation by ``angle`` radians about the z axis."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors (..., 3) at length 1."""
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


@overload
def mix(a: float, b: float, t: float) -> float: ...
@overload
def mix(a: float, b: float, t: np.ndarray) -> np.ndarray: ...
@overload
def mix(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray: ...
def mix(a: float | np.ndarray, b: float | np.ndarray, t: float | np.ndarray) -> float | np.ndarray:
    """Linear interpolation: ``a`` at t = 0, ``b`` at t = 1."""
    return a + (b - a) * t
