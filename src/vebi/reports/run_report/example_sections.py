"""What a page shows of an image that is explained: the image, and the evidence for one or two classes."""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vebi.explanation.assessment import Example
from vebi.explanation.result import Explanation
from vebi.reports.colors import overlay
from vebi.reports.html import InlineImage, inline
from vebi.reports.run_report.class_sections import anchor
from vebi.reports.run_report.feature_cards import FeatureViews
from vebi.reports.run_report.selection_index import SelectionIndex
from vebi.reports.run_report.selection_summary import fragile_selections

LARGE = 224  # pixels of the longer side of an image at most


@dataclass(frozen=True)
class HeatmapPanel:
    """A heatmap over its image.

    Attributes:
        feature: Name of the feature.
        share: Its contribution as a share of the sum; None where no feature is stronger than usual.
        image: The heatmap over the image.
        thumb: What the feature looks like.
        is_fragile: Whether another training, or other images, could select another feature in its place.
    """

    feature: str
    share: float | None
    image: InlineImage
    thumb: InlineImage
    is_fragile: bool


@dataclass(frozen=True)
class EvidenceRow:
    """The evidence for one class.

    Attributes:
        target: The class.
        total: Sum of the contributions; 0 where no feature is stronger than usual.
        panels: Of each feature that contributed.
        combined: The heatmaps as one; None where there are none.
    """

    target: str
    total: float
    panels: list[HeatmapPanel]
    combined: InlineImage | None


@dataclass(frozen=True)
class ExampleSection:
    """An explained image on the page.

    Attributes:
        file_name: Of the image.
        prediction: The predicted class.
        probability: Its softmax probability.
        truth: The true class, None where it is not known.
        anchor: Id of the section of the predicted class, None where that is not on the page.
        image: As the network sees it.
        evidence: For the predicted class.
        true_class_evidence: For the true class, of a mistake.
    """

    file_name: str
    prediction: str
    probability: float
    truth: str | None
    anchor: str | None
    image: InlineImage
    evidence: EvidenceRow
    true_class_evidence: EvidenceRow | None


def example_section(
    index: SelectionIndex, views: FeatureViews, example: Example, shown: Container[str]
) -> ExampleSection:
    """The section of an example.

    Args:
        index: Of the interpretation.
        views: Of its features.
        example: The explained image.
        shown: The classes that are on the page.
    """
    explanation, true_class = example.explanation, example.true_class_explanation
    name = explanation.prediction
    return ExampleSection(
        file_name=Path(explanation.image_id).name,
        prediction=name,
        probability=explanation.probability,
        truth=example.truth,
        anchor=anchor(name, index.class_index[name]) if name in shown else None,
        image=inline(explanation.image, LARGE),
        evidence=_evidence(index, views, explanation),
        true_class_evidence=None if true_class is None else _evidence(index, views, true_class),
    )


def _evidence(index: SelectionIndex, views: FeatureViews, explanation: Explanation) -> EvidenceRow:
    weak = explanation.is_weaker_than_usual
    total = 0 if weak else sum(e.contribution for e in explanation.evidence)
    maps, fragile = explanation.display_maps(), fragile_selections(index)
    of_target = {selection.feature for selection in fragile if selection.class_name == explanation.target}
    return EvidenceRow(
        target=explanation.target,
        total=total,
        panels=[
            HeatmapPanel(
                feature=str(e.feature),
                share=None if weak else e.contribution / total,
                image=_heatmap(explanation, heat),
                thumb=views[index.feature_index[e.feature]].thumb,
                is_fragile=e.feature in of_target,
            )
            for e, heat in zip(explanation.evidence, maps, strict=True)
        ],
        combined=_heatmap(explanation, explanation.combined_display_map()) if maps else None,
    )


def _heatmap(explanation: Explanation, heat: Float[np.ndarray, "h w"]) -> InlineImage:
    return inline(overlay(explanation.image, heat), LARGE)
