"""What stands around a flower in a meadow: grass, stones, blossoms out of focus, butterflies.

Drawn in the image plane with Pillow, at twice the resolution of the image. Lengths are in sides of the image.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vebi.datasets.flowers.variants import COLOURS, encode, linear

_FINE = 2  # pixels drawn per pixel of the image and axis

#: Colours (N, 3) of the palette that petals and leaves have, sRGB in [0, 255]: deep and bright end of each.
_PALETTE = np.array([[255 * encode(linear(end)) for end in ends] for ends in COLOURS.values()])


def draw_behind(rng: np.random.Generator, size: int) -> np.ndarray:
    """The ground of a meadow with what stands behind the flower: size x size x 3 linear light, float32."""
    side = _FINE * size
    ground = _draw_ground(rng, side)
    for _ in range(rng.integers(2, 6)):
        _draw_stone(rng, ground)
    for _ in range(rng.integers(90, 150)):
        _draw_blade(rng, ground, length=(0.1, 0.35))
    for _ in range(rng.integers(12, 22)):
        _draw_blossom(rng, ground, radii=(0.06, 0.17), blur=(0.008, 0.03))
    for _ in range(rng.integers(15, 35)):
        _draw_blade(rng, ground, length=(0.15, 0.4))
    for _ in range(rng.integers(1, 4)):
        _draw_butterfly(rng, ground)
    pixels = np.asarray(ground.convert("RGB").reduce(_FINE), np.float32) / 255
    return _to_linear(pixels).astype(np.float32)


def draw_front(rng: np.random.Generator, size: int) -> np.ndarray:
    """What stands in front of the flower: size x size x 4, linear light premultiplied by coverage, and the coverage."""
    layer = Image.new("RGBA", (_FINE * size,) * 2)
    for _ in range(rng.integers(3, 10)):
        _draw_blade(rng, layer, length=(0.15, 0.5))
    for _ in range(rng.integers(0, 3)):
        _draw_blossom(rng, layer, radii=(0.04, 0.08), blur=(0.01, 0.02))
    for _ in range(rng.integers(0, 2)):
        _draw_butterfly(rng, layer)
    pixels = np.asarray(layer.convert("RGBa").reduce(_FINE), np.float32) / 255
    coverage = pixels[..., 3:]
    colour = pixels[..., :3] / np.maximum(coverage, 1e-6)
    return np.concatenate([_to_linear(np.clip(colour, 0, 1)) * coverage, coverage], axis=2).astype(np.float32)


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
    side = image.width
    x, y, radius = *rng.uniform(0, 1, 2), rng.uniform(0.02, 0.07)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outline = radius * (
        1 + 0.18 * np.cos(2 * angles + rng.uniform(0, 6)) + 0.08 * np.cos(3 * angles + rng.uniform(0, 6))
    )
    shape = np.stack([x + 1.3 * outline * np.cos(angles), y + outline * np.sin(angles)], axis=1)
    grey = rng.uniform(70, 150) * rng.uniform(0.92, 1.0, 3)
    middle = np.array([x, y - 0.25 * radius])
    draw = ImageDraw.Draw(image)
    for step in range(7):
        _fill(draw, side, middle + (1 - step / 7) * (shape - middle) if step else shape, grey * (0.55 + 0.11 * step))


def _draw_blade(rng: np.random.Generator, image: Image.Image, length: tuple[float, float]) -> None:
    """A blade of grass that tapers and bends, one half darker than the other."""
    root, lean = rng.uniform((-0.05, 0.05), (1.05, 1.3)), rng.normal(0, 0.35)
    height, bend, width = rng.uniform(*length), rng.normal(0, 0.5), rng.uniform(0.006, 0.014)
    t = np.linspace(0, 1, 7)
    angle = lean + bend * t
    steps = height / 6 * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    line = root + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
    across = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (width * (1 - t) ** 0.7)[:, None]
    green = np.array([rng.uniform(60, 170), rng.uniform(130, 205), rng.uniform(20, 80)]) * rng.uniform(0.5, 1.1)
    draw = ImageDraw.Draw(image)
    _fill(draw, image.width, np.concatenate([line - across, line[::-1]]), 0.78 * green)
    _fill(draw, image.width, np.concatenate([line, (line + across)[::-1]]), green)


def _draw_blossom(
    rng: np.random.Generator, image: Image.Image, radii: tuple[float, float], blur: tuple[float, float]
) -> None:
    """A blossom out of focus, with petals in a colour of the palette."""
    side = image.width
    centre, radius, count = rng.uniform(0, 1, 2), rng.uniform(*radii), rng.integers(5, 10)
    squash, turn = rng.uniform(0.55, 1.0), rng.uniform(0, 2 * np.pi)
    deep, bright = _PALETTE[rng.integers(len(_PALETTE))]
    middle = _PALETTE[rng.integers(len(_PALETTE))].mean(axis=0)
    sigma = rng.uniform(*blur) * side
    room = int(radius * side + 3 * sigma) + 1  # of the layer around the middle of the blossom
    layer = Image.new("RGBa", (2 * room, 2 * room))
    draw = ImageDraw.Draw(layer)
    t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    for k in range(count):
        azimuth = turn + 2 * np.pi * k / count
        along, over = 0.58 + 0.42 * np.cos(t), 1.5 / count * np.sin(t)
        petal = radius * np.stack(
            [np.cos(azimuth) * along - np.sin(azimuth) * over, np.sin(azimuth) * along + np.cos(azimuth) * over], axis=1
        )
        fraction = rng.uniform(0.2, 1)
        _fill(draw, side, room / side + petal * (1, squash), (1 - fraction) * deep + fraction * bright)
    _fill(draw, side, room / side + 0.24 * radius * np.stack([np.cos(t), squash * np.sin(t)], axis=1), middle)
    blurred = layer.filter(ImageFilter.GaussianBlur(sigma)).convert("RGBA")
    left, top = (int(at * side) - room for at in centre)
    seen = max(left, 0), max(top, 0)  # alpha_composite takes no place outside the image
    image.alpha_composite(blurred, seen, (seen[0] - left, seen[1] - top))


def _draw_butterfly(rng: np.random.Generator, image: Image.Image) -> None:
    """A butterfly with wings in a colour of the palette, seen from above."""
    side = image.width
    centre, span, turn = rng.uniform(0.05, 0.95, 2), rng.uniform(0.035, 0.075), rng.uniform(0, 2 * np.pi)
    deep, bright = _PALETTE[rng.integers(len(_PALETTE))]
    fold = rng.uniform(0.6, 1.0)
    t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    draw = ImageDraw.Draw(image)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for mirror in (-1, 1):
        for at, half_length, half_width, angle in ((0.62, 0.62, 0.34, -0.55), (0.48, 0.45, 0.33, 0.75)):
            for share, colour in ((1.0, 0.45 * deep), (0.82, deep), (0.55, bright)):
                x, y = at + share * half_length * np.cos(t), share * half_width * np.sin(t)
                wing = np.stack(
                    [mirror * fold * (np.cos(angle) * x - np.sin(angle) * y), np.sin(angle) * x + np.cos(angle) * y],
                    axis=1,
                )
                _fill(draw, side, centre + span * wing @ rotation.T, colour)
    body = np.stack([0.07 * np.cos(t), 0.55 * np.sin(t)], axis=1)
    _fill(draw, side, centre + span * body @ rotation.T, np.array([30, 24, 22]))


def _fill(draw: ImageDraw.ImageDraw, side: int, points: np.ndarray, colour: np.ndarray) -> None:
    """Fills a polygon; ``points`` (N, 2) in sides of the image, right and down."""
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    draw.polygon([(x, y) for x, y in (points * side).tolist()], fill=(red, green, blue, 255))


def _to_linear(code: np.ndarray) -> np.ndarray:
    """Linear light of sRGB in [0, 1]."""
    light: np.ndarray = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light
