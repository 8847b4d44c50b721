"""Photographs with the heatmaps of all methods, side by side on one sheet."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vebi.backprop.heatmaps import clip_for_display
from vebi.reports.benchmark_report.examples import Examples
from vebi.reports.colors import overlay
from vebi.reports.figure import draw_text

#: Pixels: the side of a map, the gap between maps, the height of a line of text.
SIDE, GAP, LINE = 112, 6, 16
INK = (34, 34, 40)
#: Characters of a title in a line.
WIDTH = 18


def draw_sheet(examples: Examples, titles: Mapping[str, str]) -> Image.Image:
    """A row per image and a column per method, each map clipped and scaled for display.

    Args:
        examples: The images, their classes and the maps.
        titles: Of the methods, in the order of the columns; those without maps are left out.
    """
    shown = {method: title for method, title in titles.items() if method in examples.maps}
    step, head = SIDE + GAP, 3 * LINE + GAP
    sheet = Image.new("RGB", (GAP + (len(shown) + 1) * step, head + len(examples.classes) * (step + LINE)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for k, title in enumerate(shown.values(), start=1):
        for line, text in enumerate(_wrapped(title)):
            draw.text((GAP + k * step, line * LINE), text, INK, font)
    maps = [clip_for_display(examples.maps[method]) for method in shown]
    for n, name in enumerate(examples.classes):
        top = head + n * (step + LINE)
        draw_text(draw, (GAP, top), name, step - GAP, INK, 12)
        tiles = [examples.images[n], *(overlay(examples.images[n], heat[n]) for heat in maps)]
        for k, tile in enumerate(tiles):
            small = Image.fromarray(np.asarray(tile)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (GAP + k * step, top + LINE))
    return sheet


def _wrapped(title: str) -> list[str]:
    """A title in up to three short lines."""
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + len(word) >= WIDTH and len(lines) < 3:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
