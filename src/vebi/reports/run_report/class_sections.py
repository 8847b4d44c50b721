"""What a page shows of each class: its features as cards, and their share of the weight along mu."""

import re
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from vebi.explanation.assessment import Assessment
from vebi.interpretation.result import Interpretation
from vebi.reports.run_report import selection_charts, selection_summary
from vebi.reports.run_report.feature_cards import FeatureView, FeatureViews
from vebi.reports.run_report.selection_index import SelectionIndex
from vebi.reports.run_report.weight_shares import line_numbers

LIGHT = 0.03  # where there can be many, features with less than this share of the weight are named only
OTHER_CLASSES = 4  # named on a card at most
LAYERS = 3  # that evidence comes from, named at most


@dataclass(frozen=True)
class SelectionStability:
    """How far the selection of a feature for a class can be trusted.

    Attributes:
        selection_probability: In [0, 1]; None where it cannot be known.
        group_probability: The same for the feature or any of its correlated features.
        word: Stable, fairly stable or unstable, or nothing.
    """

    selection_probability: float | None
    group_probability: float | None
    word: str


@dataclass(frozen=True)
class FeatureCard:
    """A feature that a class selects.

    Attributes:
        feature: What is shown of it whatever the class.
        weight: Its weight.
        share: Its share of the weight of the class.
        mu_range: The lowest and the highest mu of the path at which it is selected, None where it is at none.
        stability: None where it was not asked for.
        other_classes: Other classes that select it, those of the largest weights.
        n_other_classes: Their number.
    """

    feature: FeatureView
    weight: float
    share: float
    mu_range: tuple[float, float] | None
    stability: SelectionStability | None
    other_classes: list[str]
    n_other_classes: int


@dataclass(frozen=True)
class ClassSection:
    """A class on the page.

    Attributes:
        name: Of the class.
        anchor: Id of the section.
        n_images: Images of the class among those of the fit.
        correct: Number of correct predictions among the assessed images of the class.
        labelled: Number of assessed images of the class.
        cards: The selected features, the largest weight first.
        light: Names of selected features that have too little of the weight for a card.
        mu: Its bound on the l1 norm of the weights.
        r2: Held-out R², None where there is none.
        layers: (name, number from 1, share) of the layers that most of the evidence in images of the class comes from.
        early: Share of it from the first half of the layers, None where it was not recorded.
        chart: Shares of the weight along mu.
        other_lines: Features without a card whose line in the chart is numbered, with the number.
    """

    name: str
    anchor: str
    n_images: int
    correct: int
    labelled: int
    cards: list[FeatureCard]
    light: list[str]
    mu: float
    r2: float | None
    layers: list[tuple[str, int, float]]
    early: float | None
    chart: Markup
    other_lines: dict[str, int]


def class_section(index: SelectionIndex, views: FeatureViews, assessment: Assessment, name: str) -> ClassSection:
    """The section of a class.

    Args:
        index: Of the interpretation.
        views: Of its features.
        assessment: How the model does on the images of the page.
        name: The class.
    """
    interpretation, j = index.interpretation, index.class_index[name]
    selected = index.selected(j)
    total = sum(abs(weight) for _, weight in selected)
    least = LIGHT * total if interpretation.settings.features_per_class is None else 0
    heavy = [(i, weight) for i, weight in selected if abs(weight) >= least]
    numbers = line_numbers(index, name, len(heavy))
    return ClassSection(
        name=name,
        anchor=anchor(name, j),
        n_images=interpretation.diagnostics.images_per_class[name],
        correct=assessment.correct[name],
        labelled=assessment.labelled[name],
        cards=[_card(index, views, j, i, weight, total) for i, weight in heavy],
        light=[str(interpretation.features[i]) for i, weight in selected if abs(weight) < least],
        mu=interpretation.mus[j],
        r2=selection_summary.held_out_r2(interpretation, j),
        layers=_layers(interpretation, j),
        early=_early(interpretation, j),
        chart=selection_charts.class_chart(index, name, numbers),
        other_lines={feature: number for feature, number in numbers.items() if number > len(heavy)},
    )


def _layers(interpretation: Interpretation, j: int) -> list[tuple[str, int, float]]:
    shares = np.nan_to_num(interpretation.layer_shares[j])
    order = [int(k) for k in np.argsort(-shares, kind="stable")[:LAYERS] if shares[k] > 0]
    return [(interpretation.layers[k][0], k + 1, float(shares[k])) for k in order]


def _early(interpretation: Interpretation, j: int) -> float | None:
    shares = interpretation.layer_shares[j]
    return float(shares[: len(shares) // 2].sum()) if np.isfinite(shares).all() and shares.any() else None


def anchor(name: str, j: int) -> str:
    """An id for the section of class ``j``, distinct for every class whatever it is called."""
    return f"class-{j}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _card(index: SelectionIndex, views: FeatureViews, j: int, i: int, weight: float, total: float) -> FeatureCard:
    names, classes = index.interpretation.class_names, index.classes_of_feature(i)
    others = [names[other] for other in classes[: OTHER_CLASSES + 1].tolist() if other != j]
    return FeatureCard(
        feature=views[i],
        weight=weight,
        share=abs(weight) / total,
        mu_range=index.mu_range(j, i),
        stability=_stability(index, j, i),
        other_classes=others[:OTHER_CLASSES],
        n_other_classes=len(classes) - 1,
    )


def _stability(index: SelectionIndex, j: int, i: int) -> SelectionStability | None:
    stability = index.interpretation.stability
    if stability is None:
        return None
    alone, group = stability.probabilities(j, i)
    return SelectionStability(alone, group, "" if alone is None else selection_summary.stability_word(alone))
