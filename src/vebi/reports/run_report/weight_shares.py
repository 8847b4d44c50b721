"""The share of the weight of a class that each of its features has along mu."""

import numpy as np
from jaxtyping import Float

from vebi.reports.run_report.selection_index import SelectionIndex

#: Lines that a chart can tell apart; one that is not of a selected feature is numbered where its share of the weight
#: ever is that large.
MOST_NUMBERS, NOTABLE = 7, 0.3


def path_features(index: SelectionIndex, name: str) -> list[str]:
    """The features that a class selects along mu, in the order of entry."""
    columns = index.path_rows(index.class_index[name]).columns.tolist()
    return [str(index.interpretation.feature(column)) for column in columns]


def weight_shares(index: SelectionIndex, name: str) -> Float[np.ndarray, "rows m"]:
    """The share of the weight of a class that each of ``path_features`` has along mu, in percent."""
    size = np.abs(index.path_rows(index.class_index[name]).weights)
    total = size.sum(axis=0)
    shares: Float[np.ndarray, "rows m"] = 100 * size / np.where(total > 0, total, 1)
    return shares


def line_numbers(index: SelectionIndex, name: str, n_cards: int | None = None) -> dict[str, int]:
    """The features of a class whose lines are numbered, with the numbers 1, 2, ...

    First the selected features of the largest weights, then those that have much of the weight at other mu, in the
    order of entry.

    Args:
        index: Of the interpretation.
        name: The class.
        n_cards: Selected features that are numbered, as their cards are; by default so many that others find room.
    """
    selected = [str(index.interpretation.features[i]) for i, _ in index.selected(index.class_index[name])]
    heaviest = selected[: MOST_NUMBERS // 2 + 1 if n_cards is None else n_cards]
    highest = dict(
        zip(path_features(index, name), weight_shares(index, name).max(axis=1, initial=0).tolist(), strict=True)
    )
    excluded = set(heaviest)
    notable = {f: share for f, share in highest.items() if f not in excluded and share >= 100 * NOTABLE}
    if n_cards is None:
        heaviest = selected[: max(len(heaviest), MOST_NUMBERS - len(notable))]
    heaviest = heaviest[:MOST_NUMBERS]
    others = [feature for feature in notable if feature not in heaviest]
    # where there is no room for all, those with the largest share: the last to enter may have all weight in the end
    shown = sorted(others, key=notable.__getitem__, reverse=True)[: MOST_NUMBERS - len(heaviest)]
    return {feature: k for k, feature in enumerate([*heaviest, *(f for f in others if f in shown)], start=1)}
