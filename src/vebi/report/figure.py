"""An explanation as one picture: what the network saw, a heatmap for every feature, and all of them combined."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vebi.exemplars import enlarge
from vebi.explanation import Explanation
from vebi.heatmap import overlay
from vebi.interpretation import Interpretation

SIDE = 224
GAP = 12
CAPTION = 44
INK, FAINT = (34, 34, 40), (110, 110, 120)


def figure(explanation: Explanation, interpretation: Interpretation) -> Image.Image:
    """The picture, the heatmaps with the average picture of their features inset, and the combined map, in a row."""
    panels = [
        (
            enlarge(explanation.picture, SIDE),
            explanation.prediction,
            f"predicted, {explanation.probability:.0%}" + _asked(explanation),
        )
    ]
    for evidence, scaled in zip(explanation.evidence, explanation.scaled(), strict=True):
        panel = heat_panel(explanation, scaled)
        inset = enlarge(interpretation.exemplar(evidence.feature).average, SIDE // 4)
        panel.paste("white", (SIDE - SIDE // 4 - 8, 0, SIDE, SIDE // 4 + 8))
        panel.paste(inset, (SIDE - SIDE // 4 - 4, 4))
        panels.append((panel, str(evidence.feature), f"contributes {evidence.contribution:.3f}"))
    if explanation.evidence:
        panels.append((heat_panel(explanation, explanation.combined()), "combined", "elementwise maximum"))
    else:
        panels.append(
            (Image.new("RGB", (SIDE, SIDE), (236, 236, 236)), "no evidence", "none of the class's features fired")
        )
    return _row(panels)


def heat_panel(explanation: Explanation, scaled: np.ndarray, side: int = SIDE) -> Image.Image:
    """A map in [0, 1] over the picture it explains."""
    return enlarge(overlay(explanation.picture, scaled), side)


def _asked(explanation: Explanation) -> str:
    return "" if explanation.target == explanation.prediction else f"; why {explanation.target}?"


def _row(panels: list[tuple[Image.Image, str, str]]) -> Image.Image:
    page = Image.new("RGB", (len(panels) * (SIDE + GAP) + GAP, SIDE + CAPTION + 2 * GAP), "white")
    draw = ImageDraw.Draw(page)
    for k, (panel, title, note) in enumerate(panels):
        left = GAP + k * (SIDE + GAP)
        page.paste(panel, (left, GAP))
        draw.text((left, GAP + SIDE + 6), title, INK, ImageFont.load_default(16))
        draw.text((left, GAP + SIDE + 26), note, FAINT, ImageFont.load_default(13))
    return page
