"""Shading of one frame with Mitsuba 3, once for all classes.

Under direct light radiance is linear in albedo, so a frame is rendered as a stack of shadings, one for every albedo of
a basis (``scene.BASIS``); a coloured frame is their weighted sum. The light is white, or hues would shift with the
shading.

Reference:
    Jakob et al., Mitsuba 3 renderer, 2022, https://mitsuba-renderer.org.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from vebi.datasets.flowers.meshes import Mesh
from vebi.datasets.flowers.scene import MEADOW_PARTS
from vebi.errors import MissingExtraError

SAMPLES = 12  # per pixel of the stack, which is finer than the images

# Fixed, because Mitsuba would otherwise pick the size of its work blocks by the number of cores, and the noise with it.
_BLOCKS = {"block_size": 16}


@dataclass(frozen=True)
class View:
    """From where a flower is seen and lit.

    Attributes:
        eye: Where the camera is.
        target: What it looks at.
        lamp: Where the lamp is, in front of which the camera has to be.
        lamp_radius: How large it is; with the distance it makes the strength of its light.
        sky: Radiance of the even sky.
    """

    eye: tuple[float, float, float] = (0.0, -7.0, 5.6)
    target: tuple[float, float, float] = (0.0, 0.0, 1.22)
    lamp: tuple[float, float, float] = (-4.5, -4.0, 7.5)
    lamp_radius: float = 1.5
    sky: float = 0.5


#: The view of the plain scene.
PLAIN = View()


@dataclass(frozen=True, eq=False)
class Shading:
    """One frame, before any colour.

    Attributes:
        stack: (K + 1) x S x S float32: the linear shading of each albedo of the basis, premultiplied by coverage, and
            then the coverage in [0, 1].
        labels: S x S uint8: the part seen in each pixel, as in MEADOW_PARTS.
    """

    stack: np.ndarray
    labels: np.ndarray


def shade(parts: dict[str, Mesh], side: int, view: View = PLAIN) -> Shading:
    """Renders a flower. Equal arguments give equal bits, whatever the number of cores.

    Args:
        parts: The meshes by name, with weights on a basis of a multiple of 3 albedos, see ``scene``.
        side: Side of the square in pixels.
        view: From where it is seen and lit.

    Raises:
        MissingExtraError: Mitsuba is not installed.
    """
    mi = _mitsuba()
    width = next(iter(parts.values())).weights.shape[1]
    scenes = [
        _scene(mi, parts, {name: part.weights[:, first : first + 3] for name, part in parts.items()}, side, view)
        for first in range(0, width, 3)
    ]
    lights = [_light(mi, scene) for scene in scenes]
    stack = np.concatenate([*(light[..., :3] for light in lights), lights[0][..., 3:]], axis=2)
    return Shading(np.ascontiguousarray(stack.transpose(2, 0, 1)), _labels(mi, scenes[0], list(parts)))


def colour(shading: Shading, weights: np.ndarray) -> np.ndarray:
    """A shaded flower in colours.

    Args:
        shading: The flower.
        weights: 3 x K: the linear red, green and blue of each albedo of the basis.

    Returns:
        4 x S x S float32: linear red, green, blue (premultiplied) and coverage.
    """
    frame = np.zeros((4, *shading.labels.shape), dtype=np.float32)
    frame[3] = shading.stack[-1]
    for channel, row in enumerate(weights.astype(np.float32)):
        for weight, layer in zip(row, shading.stack[:-1], strict=True):
            if weight:
                frame[channel] += weight * layer
    return frame


def render(parts: dict[str, Mesh], albedos: dict[str, np.ndarray], side: int) -> np.ndarray:
    """Renders parts with given albedos under direct light.

    Args:
        parts: The meshes by name.
        albedos: V x 3 linear red, green and blue of the vertices of each part.
        side: Side of the square in pixels.

    Returns:
        (side, side, 4): linear red, green, blue and coverage.

    Raises:
        MissingExtraError: Mitsuba is not installed.
    """
    mi = _mitsuba()
    return _light(mi, _scene(mi, parts, albedos, side, PLAIN))


def _light(mi: ModuleType, scene: Any) -> np.ndarray:
    """(side, side, 4): linear red, green, blue and coverage of a scene."""
    integrator = {"type": "direct", "emitter_samples": 1, "bsdf_samples": 1, "hide_emitters": True}
    return np.array(mi.render(scene, integrator=mi.load_dict(integrator | _BLOCKS), spp=SAMPLES, seed=0))


def _labels(mi: ModuleType, scene: Any, names: list[str]) -> np.ndarray:
    """The part seen at one point of every pixel, (side, side) uint8; ``names`` in the order of the scene."""
    integrator = {"type": "aov", "aovs": "part:shape_index"}
    index = np.array(mi.render(scene, integrator=mi.load_dict(integrator | _BLOCKS), spp=1, seed=0))[..., -1]
    values = np.array([0] + [MEADOW_PARTS[name] for name in names], dtype=np.uint8)  # 0 is a miss, k the k-th shape
    labels: np.ndarray = values[index.astype(int)]
    return labels


def _scene(
    mi: ModuleType,
    parts: dict[str, Mesh],
    albedos: dict[str, np.ndarray],
    side: int,
    view: View,
) -> Any:
    """A Mitsuba scene of the parts, with camera, sky and lamp."""
    description = {
        "type": "scene",
        "sensor": {
            "type": "perspective",
            "fov": 19.4,
            "to_world": mi.ScalarTransform4f().look_at(origin=list(view.eye), target=list(view.target), up=[0, 0, 1]),
            "sampler": {"type": "multijitter", "sample_count": SAMPLES},
            "film": {
                "type": "hdrfilm",
                "width": side,
                "height": side,
                "pixel_format": "rgba",
                "component_format": "float32",
                "rfilter": {"type": "box"},
            },
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": view.sky}},
        "lamp": {
            "type": "sphere",
            "center": list(view.lamp),
            "radius": view.lamp_radius,
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 24.0}},
        },
    }
    for name, part in parts.items():
        description[name] = _mitsuba_mesh(mi, name, part, albedos[name])
    return mi.load_dict(description)


def _mitsuba_mesh(mi: ModuleType, name: str, part: Mesh, albedo: np.ndarray) -> Any:
    """A part as Mitsuba takes it, diffuse on both sides, with the albedo (V, 3) of its vertices."""
    surface = {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}}
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "twosided", "surface": surface})
    mesh = mi.Mesh(name, len(part.vertices), len(part.faces), properties, has_vertex_normals=True)
    mesh.add_attribute("vertex_color", 3, albedo.astype(np.float32).ravel())
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = part.vertices.astype(np.float32).ravel()
    parameters["vertex_normals"] = part.normals.astype(np.float32).ravel()
    parameters["faces"] = part.faces.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def _mitsuba() -> ModuleType:
    """The package, in its scalar variant: plain C++, no GPU, and the one variant that runs on every machine."""
    mi: ModuleType
    try:
        import mitsuba as mi
    except ModuleNotFoundError as error:
        if error.name != "mitsuba":
            raise
        raise MissingExtraError("mitsuba", "flowers", "rendering flowers") from error
    if mi.variant() != "scalar_rgb":
        mi.set_variant("scalar_rgb")
    return mi
