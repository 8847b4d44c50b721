"""One HTML file, with every image inlined: classes, their features and pictures, example explanations, scores."""

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from vebi.exemplars import enlarge
from vebi.explanation import Explanation
from vebi.interpretation import Interpretation
from vebi.report.figure import heat_panel
from vebi.storage import whole


def render(
    interpretation: Interpretation,
    examples: Sequence[Explanation],
    *,
    title: str,
    facts: Mapping[str, str],
    scores: Mapping[str, float],
) -> str:
    """The page as text. ``facts`` are lines about the model and the data, ``scores`` percentages by method."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("vebi.report").joinpath("page.html.j2").read_text())
    classes = [
        {
            "name": name,
            "features": [
                _feature(interpretation, feature, weight) for feature, weight in interpretation.selected(name)
            ],
        }
        for name in interpretation.classes
    ]
    return template.render(
        title=title,
        facts=facts,
        scores=scores,
        classes=classes,
        examples=[_example(interpretation, e) for e in examples],
        mu=interpretation.mu,
        provenance=interpretation.provenance,
    )


def write(path: Path, page: str) -> None:
    with whole(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _feature(interpretation: Interpretation, feature, weight: float) -> dict:
    exemplar = interpretation.exemplar(feature)
    height, width = exemplar.average.shape[:2]
    return {
        "name": str(feature),
        "weight": weight,
        "count": exemplar.count,
        "size": f"{width} x {height}",
        "average": inline(enlarge(exemplar.average, 160)),
        "crops": [inline(enlarge(crop, 72)) for crop in exemplar.crops[:6]],
    }


def _example(interpretation: Interpretation, explanation: Explanation) -> dict:
    return {
        "id": explanation.image_id,
        "prediction": explanation.prediction,
        "probability": explanation.probability,
        "picture": inline(enlarge(explanation.picture, 160)),
        "evidence": [
            {
                "name": str(e.feature),
                "contribution": e.contribution,
                "map": inline(heat_panel(explanation, scaled, 160)),
                "average": inline(enlarge(interpretation.exemplar(e.feature).average, 56)),
            }
            for e, scaled in zip(explanation.evidence, explanation.scaled(), strict=True)
        ],
        "combined": inline(heat_panel(explanation, explanation.combined(), 160)),
    }


def inline(image: Image.Image | np.ndarray) -> str:
    """An image as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
