"""An explanation as one picture: what the network saw, a heatmap for every feature, and all of them combined."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vebi.explanation.result import Explanation
from vebi.interpretation.contact_sheet import enlarge
from vebi.interpretation.result import Interpretation
from vebi.reports.colors import overlay

SIDE, GAP, THUMB = 224, 14, 40
INK, FAINT, EMPTY = (34, 34, 40), (110, 110, 120), (236, 236, 236)


@dataclass(frozen=True)
class Panel:
    """One picture of the row with its caption; ``thumb`` is a small picture beside the caption."""

    picture: Image.Image
    title: str
    note: str
    thumb: Image.Image | None = None


def figure(explanation: Explanation, interpretation: Interpretation) -> Image.Image:
    """A row: the picture, the heatmaps with the average picture of their features below, and the combined map."""
    asked = "" if explanation.target == explanation.prediction else f"; why {explanation.target}?"
    panels = [
        Panel(
            enlarge(explanation.picture, SIDE),
            explanation.prediction,
            f"predicted, {explanation.probability:.0%}{asked}",
        )
    ]
    maps = explanation.scaled()
    for evidence, heat in zip(explanation.evidence, maps, strict=True):
        panels.append(
            Panel(
                heat_panel(explanation, heat),
                str(evidence.feature),
                f"contributes {evidence.contribution:.3f}",
                enlarge(interpretation.exemplar(evidence.feature).average, THUMB),
            )
        )
    if explanation.evidence:
        panels.append(Panel(heat_panel(explanation, np.max(maps, axis=0)), "combined", "elementwise maximum"))
    else:
        panels.append(Panel(Image.new("RGB", (SIDE, SIDE), EMPTY), "no evidence", "no feature of the class fired"))
    return _row(panels)


def heat_panel(explanation: Explanation, scaled: np.ndarray, side: int = SIDE) -> Image.Image:
    """A map in [0, 1] over the picture it explains."""
    return enlarge(overlay(explanation.picture, scaled), side)


def _row(panels: list[Panel]) -> Image.Image:
    page = Image.new("RGB", (len(panels) * (SIDE + GAP) + GAP, SIDE + THUMB + 3 * GAP), "white")
    draw = ImageDraw.Draw(page)
    for k, panel in enumerate(panels):
        left, below = GAP + k * (SIDE + GAP), 2 * GAP + SIDE
        page.paste(panel.picture, (left, GAP))
        if panel.thumb is not None:
            page.paste(panel.thumb, (left, below))
            left += THUMB + 8
        draw.text((left, below), panel.title, INK, ImageFont.load_default(16))
        draw.text((left, below + 22), panel.note, FAINT, ImageFont.load_default(13))
    return page
