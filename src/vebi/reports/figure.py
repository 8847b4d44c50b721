"""An explanation as one figure: the image, a heatmap for every feature, and all of them combined."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from vebi.backprop.heatmaps import clip_for_display
from vebi.explanation.result import Explanation
from vebi.interpretation.contact_sheet import resize_square, stand_in
from vebi.interpretation.result import Interpretation
from vebi.reports.colors import overlay

#: Pixels: the side of a panel, the gap between panels, the side of an average image beside a caption.
SIDE, GAP, THUMB = 224, 14, 40
INK, FAINT, EMPTY = (34, 34, 40), (110, 110, 120), (236, 236, 236)


@dataclass(frozen=True)
class Panel:
    """One part of the row with its caption.

    Attributes:
        image: SIDE x SIDE.
        title: First line of the caption.
        note: Second line.
        thumb: An image beside the caption, THUMB x THUMB, or None.
    """

    image: Image.Image
    title: str
    note: str
    thumb: Image.Image | None = None


def explanation_figure(
    explanation: Explanation,
    interpretation: Interpretation,
    others: Mapping[str, Float[np.ndarray, "h w"]] = MappingProxyType({}),
) -> Image.Image:
    """An explanation as a row of panels: the image, the heatmap of each feature, and the combined map.

    Args:
        explanation: The explanation.
        interpretation: What it was made with; what a feature looks like stands below its heatmap, see
            ``stand_in``.
        others: Maps of other methods by their titles, raw, which follow.
    """
    asked = "" if explanation.target == explanation.prediction else f"; why {explanation.target}?"
    note = f"predicted, {explanation.probability:.0%}{asked}"
    panels = [Panel(resize_square(explanation.image, SIDE), explanation.prediction, note)]
    for evidence, heat in zip(explanation.evidence, explanation.display_maps(), strict=True):
        thumb = resize_square(stand_in(interpretation.exemplar(evidence.feature)), THUMB)
        contribution = f"contributes {evidence.contribution:.3f}" if evidence.contribution > 0 else "weaker than usual"
        panels.append(Panel(heat_panel(explanation, heat), str(evidence.feature), contribution, thumb))
    if explanation.evidence:
        mean = "mean" if explanation.is_weaker_than_usual else "mean by contribution"
        how = "elementwise maximum" if explanation.combination == "max" else mean
        panels.append(Panel(heat_panel(explanation, explanation.combined_display_map()), "combined", how))
    else:
        panels.append(Panel(Image.new("RGB", (SIDE, SIDE), EMPTY), "no evidence", "no feature speaks for the class"))
    for title, heat in others.items():
        panels.append(Panel(heat_panel(explanation, clip_for_display(heat)), title, "of the class, to compare"))
    return _row(panels)


def heat_panel(explanation: Explanation, heat: Float[np.ndarray, "h w"], side: int = SIDE) -> Image.Image:
    """A map over the image that it explains.

    Args:
        explanation: The explanation of the image.
        heat: h x w, in [0, 1].
        side: Pixels of a side of the result.
    """
    return resize_square(overlay(explanation.image, heat), side)


def _row(panels: list[Panel]) -> Image.Image:
    row = Image.new("RGB", (len(panels) * (SIDE + GAP) + GAP, SIDE + THUMB + 3 * GAP), "white")
    draw = ImageDraw.Draw(row)
    for k, panel in enumerate(panels):
        left, below = GAP + k * (SIDE + GAP), 2 * GAP + SIDE
        row.paste(panel.image, (left, GAP))
        if panel.thumb is not None:
            row.paste(panel.thumb, (left, below))
            left += THUMB + 8
        width = (k + 1) * (SIDE + GAP) - left
        draw_text(draw, (left, below), panel.title, width, INK, 16)
        draw_text(draw, (left, below + 22), panel.note, width, FAINT, 13)
    return row


def draw_text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: int, ink: tuple[int, int, int], size: int
) -> None:
    """Draws one line; where it is too long its middle is left out, since names differ at their ends.

    Args:
        draw: Where to draw.
        at: Pixels (x, y).
        text: Any text; what is no character is drawn as a question mark.
        width: Pixels that it may take.
        ink: Its colour.
        size: Its size in pixels.
    """
    font = ImageFont.load_default(size)
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    kept = len(line)
    while draw.textlength(shorten_middle(line, kept), font) > width and kept > 1:
        kept -= max(1, kept // 20)
    draw.text(at, shorten_middle(line, kept), ink, font)


def shorten_middle(text: str, kept: int) -> str:
    """A text of which so many characters are kept, as many of its end as of its beginning."""
    if kept >= len(text):
        return text
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
