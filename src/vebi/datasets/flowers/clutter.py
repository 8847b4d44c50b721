"""What stands around a flower in a meadow: grass, stones, blossoms out of focus, butterflies.

Drawn in the image plane with Pillow, at twice the resolution of the image. Lengths are in sides of the image.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vebi.datasets.flowers.variants import COLOURS, decode, encode, linear

_FINE = 2  # pixels drawn per pixel of the image and axis

#: Colours (N, 3) of the palette that petals and leaves have, sRGB in [0, 255]: deep and bright end of each.
_PALETTE = np.array([[255 * encode(linear(end)) for end in ends] for ends in COLOURS.values()])

_PALE = np.full(3, 238.0)  # of pale edges, sRGB in [0, 255]
_EDGED = 0.9  # the share of blossoms that have one
_ROUND = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_STEPS = np.linspace(0, 1, 7)  # up a blade of grass, which is thin at its root, too, where that is in the image
_TAPER = (1 - _STEPS) ** 0.7 * np.minimum(1, 0.15 + 2.5 * _STEPS)


def draw_behind(rng: np.random.Generator, size: int) -> np.ndarray:
    """The ground of a meadow with what stands behind the flower: size x size x 3 linear light, float32."""
    ground = _draw_ground(rng, _FINE * size)
    for _ in range(rng.integers(2, 6)):
        _draw_stone(rng, ground)
    _draw_blades(rng, ground, int(rng.integers(60, 100)), length=(0.1, 0.35))
    far = ground.reduce(_FINE)  # blossoms out of focus need no finer pixels
    for _ in range(rng.integers(22, 36)):
        _draw_blossom(rng, far, radii=(0.07, 0.2), blur=(0.006, 0.03))
    near = far.resize(ground.size, Image.Resampling.BICUBIC)
    for _ in range(rng.integers(12, 20)):  # as sharp as the flower, or sharpness would tell where it is
        _draw_blossom(rng, near, radii=(0.05, 0.14), blur=(0.001, 0.004))
    for _ in range(rng.integers(1, 4)):
        _draw_stone(rng, near)
    _draw_blades(rng, near, int(rng.integers(25, 60)), length=(0.15, 0.4))
    for _ in range(rng.integers(2, 6)):
        _draw_butterfly(rng, near)
    pixels = np.asarray(near.convert("RGB").reduce(_FINE), np.float32) / 255
    return decode(pixels).astype(np.float32)


def draw_front(rng: np.random.Generator, size: int) -> np.ndarray:
    """What stands in front of the flower: size x size x 4, linear light premultiplied by coverage, and the coverage."""
    layer = Image.new("RGBA", (_FINE * size,) * 2)
    _draw_blades(rng, layer, int(rng.integers(3, 10)), length=(0.15, 0.5))
    for _ in range(rng.integers(0, 2)):
        _draw_blossom(rng, layer, radii=(0.04, 0.08), blur=(0.01, 0.02))
    for _ in range(rng.integers(0, 2)):
        _draw_butterfly(rng, layer)
    pixels = np.asarray(layer.convert("RGBa").reduce(_FINE), np.float32) / 255
    coverage = pixels[..., 3:]
    colour = pixels[..., :3] / np.maximum(coverage, 1e-6)
    return np.concatenate([decode(np.clip(colour, 0, 1)) * coverage, coverage], axis=2).astype(np.float32)


def _draw_ground(rng: np.random.Generator, side: int) -> Image.Image:
    """Earth and moss in soft patches."""
    earth, moss = rng.uniform((70, 58, 30), (150, 120, 78)), rng.uniform((40, 80, 20), (110, 150, 60))
    patches = sum(_enlarge(rng.random((cells, cells)), side) / 2**k for k, cells in enumerate((4, 9, 30, 80))) / 1.9
    share = np.clip(1.6 * patches - 0.3, 0, 1)[..., None]
    return Image.fromarray(np.uint8(share * earth + (1 - share) * moss)).convert("RGBA")


def _enlarge(values: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _draw_stone(rng: np.random.Generator, image: Image.Image) -> None:
    """A rounded stone, lighter above."""
    x, y, radius = *rng.uniform(0, 1, 2), rng.uniform(0.02, 0.07)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outline = radius * (
        1 + 0.18 * np.cos(2 * angles + rng.uniform(0, 6)) + 0.08 * np.cos(3 * angles + rng.uniform(0, 6))
    )
    shape = np.stack([x + 1.3 * outline * np.cos(angles), y + outline * np.sin(angles)], axis=1)
    grey = rng.uniform(70, 235) * rng.uniform(0.92, 1.0, 3)
    middle = np.array([x, y - 0.25 * radius])
    steps = np.arange(7)
    shapes = middle + (1 - steps / 7)[:, None, None] * (shape - middle)
    _fill(image, shapes, grey * (0.55 + 0.11 * steps)[:, None])


def _draw_blades(rng: np.random.Generator, image: Image.Image, count: int, length: tuple[float, float]) -> None:
    """Blades of grass that taper and bend, one half of each darker than the other."""
    roots, lean = rng.uniform((-0.05, 0.05), (1.05, 1.3), (count, 2)), rng.normal(0, 0.35, count)
    height, bend, width = rng.uniform(*length, count), rng.normal(0, 0.5, count), rng.uniform(0.006, 0.014, count)
    greens = rng.uniform((60, 130, 20), (170, 205, 80), (count, 3)) * rng.uniform(0.5, 1.1, (count, 1))
    angles = lean[:, None] + bend[:, None] * _STEPS
    steps = height[:, None, None] / 6 * np.stack([np.sin(angles), -np.cos(angles)], axis=2)
    lines = roots[:, None] + np.cumsum(steps, axis=1) - steps  # from the root on
    across = np.stack([np.cos(angles), np.sin(angles)], axis=2) * (width[:, None] * _TAPER)[..., None]
    left = np.concatenate([lines - across, lines[:, ::-1]], axis=1)
    right = np.concatenate([lines, (lines + across)[:, ::-1]], axis=1)
    _fill(
        image,
        np.stack([left, right], axis=1).reshape(2 * count, 14, 2),
        (greens[:, None] * [[0.78], [1.0]]).reshape(-1, 3),
    )


def _draw_blossom(
    rng: np.random.Generator, image: Image.Image, radii: tuple[float, float], blur: tuple[float, float]
) -> None:
    """A blossom out of focus, with petals in a colour of the palette."""
    side = image.width
    centre, radius, count = rng.uniform(0, 1, 2), rng.uniform(*radii), int(rng.integers(5, 10))
    squash, turn, sigma = rng.uniform(0.55, 1.0), rng.uniform(0, 2 * np.pi), rng.uniform(*blur) * side
    deep, bright = _PALETTE[rng.integers(len(_PALETTE))]
    middle = _PALETTE[rng.integers(len(_PALETTE))].mean(axis=0)
    azimuth = (turn + 2 * np.pi * np.arange(count) / count)[:, None]
    forward, sideways = 0.58 + 0.42 * np.cos(_ROUND), 1.5 / count * np.sin(_ROUND)
    x, y = (
        np.cos(azimuth) * forward - np.sin(azimuth) * sideways,
        np.sin(azimuth) * forward + np.cos(azimuth) * sideways,
    )
    petals = np.stack([x, squash * y], axis=2)
    disc = 0.24 * np.stack([np.cos(_ROUND), squash * np.sin(_ROUND)], axis=1)
    fraction = rng.uniform(0.2, 1, (count, 1))
    colours = np.concatenate([(1 - fraction) * deep + fraction * bright, middle[None]])
    if rng.random() < _EDGED:  # a pale edge, as the part that carries the class has in some variants
        middles = petals.mean(axis=1, keepdims=True)
        inner = middles + 0.68 * (petals - middles)
        petals, colours = np.concatenate([petals, inner]), np.concatenate([np.tile(_PALE, (count, 1)), colours])
    room = int(radius * side + 3 * sigma) + 1  # of the layer around the middle of the blossom
    layer = Image.new("RGBa", (2 * room, 2 * room))
    points = 0.5 + radius * side / (2 * room) * np.concatenate([petals, disc[None]])
    _fill(layer, points, colours)
    blurred = layer.filter(ImageFilter.GaussianBlur(sigma)).convert("RGBA")
    left, top = (int(at * side) - room for at in centre)
    seen = max(left, 0), max(top, 0)  # alpha_composite takes no place outside the image
    image.alpha_composite(blurred, seen, (seen[0] - left, seen[1] - top))


def _draw_butterfly(rng: np.random.Generator, image: Image.Image) -> None:
    """A butterfly with wings in a colour of the palette, seen from above."""
    centre, span, turn = rng.uniform(0.05, 0.95, 2), rng.uniform(0.035, 0.075), rng.uniform(0, 2 * np.pi)
    deep, bright = _PALETTE[rng.integers(len(_PALETTE))]
    fold = rng.uniform(0.6, 1.0)
    rim = _PALE if rng.random() < 0.4 else 0.45 * deep
    shapes, colours = [], []
    for mirror in (-1, 1):
        for at, half_length, half_width, angle in ((0.62, 0.62, 0.34, -0.55), (0.48, 0.45, 0.33, 0.75)):
            for share, colour in ((1.0, rim), (0.82, deep), (0.55, bright)):
                x, y = at + share * half_length * np.cos(_ROUND), share * half_width * np.sin(_ROUND)
                across, down = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
                shapes.append(np.stack([mirror * fold * across, down], axis=1))
                colours.append(colour)
    shapes.append(np.stack([0.07 * np.cos(_ROUND), 0.55 * np.sin(_ROUND)], axis=1))
    colours.append(np.array([30, 24, 22]))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    _fill(image, centre + span * np.stack(shapes) @ rotation.T, np.stack(colours))


def _fill(image: Image.Image, polygons: np.ndarray, colours: np.ndarray) -> None:
    """Fills polygons one after the other.

    Args:
        image: Where they are drawn.
        polygons: N x P x 2 corners in sides of the image, right and down.
        colours: N x 3 sRGB in [0, 255].
    """
    draw = ImageDraw.Draw(image)
    corners = (polygons.reshape(len(polygons), -1) * image.width).tolist()
    for points, colour in zip(corners, np.clip(colours, 0, 255).astype(int).tolist(), strict=True):
        draw.polygon(points, fill=(*colour, 255))
