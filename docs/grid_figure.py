"""Makes the figure of the grid and its spectrum in docs/method.md from a demo:  python docs/grid_figure.py demo"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vebi import Recipe, explain, load, load_classifier
from vebi.interpretation.contact_sheet import resize_square
from vebi.metrics.grid_artifact import grid_energy
from vebi.reports.colors import colourize
from vebi.reports.figure import FAINT, GAP, INK, heat_panel

OUT = Path(__file__).parent / "figures" / "grid.png"
IMAGE = "class4_img28_p0_r0.png"
SIDE, STRIDE = 336, 2
DARK, LIGHT = -7.0, -1.5  # powers of ten of the total energy


def main(demo: Path) -> None:
    interpretation = load(demo / "run", load_classifier(demo / "network.safetensors"))
    image = next((demo / "flowers" / "images").rglob(IMAGE))
    panels = []
    for fix, title in ((None, "without the stride fix"), ("centred", "with the stride fix")):
        explanation = explain(interpretation, image, recipe=Recipe.paper(stride_fix=fix))
        # the feature nearest to the pixels: right after the strided convolution
        k = min(range(len(explanation.evidence)), key=lambda i: explanation.evidence[i].feature.layer)
        feature, heat = explanation.evidence[k].feature, explanation.evidence[k].heatmap
        energy = grid_energy(heat[None], STRIDE)[0]
        panels.append((heat_panel(explanation, explanation.display_maps()[k], SIDE), title, str(feature)))
        panels.append((spectrum(heat), "its spectrum", f"grid energy {energy:.2%}, in the rings at 1/{STRIDE}"))
    page = Image.new("RGB", (2 * (SIDE + GAP) + GAP, 2 * (SIDE + 4 * GAP) + GAP), "white")
    draw = ImageDraw.Draw(page)
    for k, (panel, title, note) in enumerate(panels):
        left, top = GAP + k % 2 * (SIDE + GAP), GAP + k // 2 * (SIDE + 4 * GAP)
        page.paste(panel, (left, top))
        draw.text((left, top + SIDE + 6), title, INK, ImageFont.load_default(16))
        draw.text((left, top + SIDE + 27), note, FAINT, ImageFont.load_default(13))
    page.save(OUT, optimize=True)


def spectrum(heat: np.ndarray) -> Image.Image:
    """Log power of a map from -1/4 to 3/4 of a cycle per pixel, so that 0 and the multiples of 1/2 lie inside."""
    window = np.outer(*map(np.hanning, heat.shape))
    power = np.abs(np.fft.fft2((heat - np.average(heat, weights=window)) * window)) ** 2
    level = np.log10(np.maximum(power / power.sum(), 1e-12))
    quarter = tuple(side // 4 for side in heat.shape)
    panel = resize_square(colourize(np.clip((np.roll(level, quarter, (0, 1)) - DARK) / (LIGHT - DARK), 0, 1)), SIDE)
    draw = ImageDraw.Draw(panel)
    low, high = SIDE / 4, SIDE * 3 / 4
    for x, y in ((high, low), (low, high), (high, high)):
        draw.ellipse((x - 14, y - 14, x + 14, y + 14), outline=(255, 255, 255))
    for x, label in ((low, "0"), (high, "1/2")):
        draw.text((x, SIDE - 8), label, (255, 255, 255), ImageFont.load_default(13), anchor="ms")
        draw.text((8, x), label, (255, 255, 255), ImageFont.load_default(13), anchor="lm")
    return panel


if __name__ == "__main__":
    main(Path(sys.argv[1]))
