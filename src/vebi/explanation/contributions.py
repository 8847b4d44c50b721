"""The features that contribute most to a class in an image."""

from collections.abc import Sequence

import numpy as np

from vebi.activations.descriptors import channel_energy, descriptors
from vebi.activations.layers import Feature
from vebi.activations.recorder import Recorder
from vebi.interpretation.result import Interpretation


def tapped(interpretation: Interpretation) -> list[str]:
    """The layers whose activations make a descriptor."""
    return list(dict.fromkeys(layer for layer, _ in interpretation.layers))


def contributors(
    interpretation: Interpretation, recorder: Recorder, targets: Sequence[int], count: int
) -> list[list[tuple[Feature, float]]]:
    """For every recorded picture the features with the largest positive contributions to its target, with these."""
    energies = [channel_energy(recorder.kept[n], interpretation.descriptor.energy) for n in tapped(interpretation)]
    rows = descriptors(energies, interpretation.descriptor.unit_norm).double().cpu().numpy()
    return [_strongest(interpretation, row, c, count) for row, c in zip(rows, targets, strict=True)]


def _strongest(interpretation: Interpretation, row: np.ndarray, c: int, count: int) -> list[tuple[Feature, float]]:
    """The features with the largest positive contributions to class c."""
    weights = interpretation.weights[c]
    norm = np.abs(weights).sum()
    if norm == 0:
        return []
    contributions = row[list(interpretation.columns)] * weights / norm
    order = np.argsort(-contributions, kind="stable")[:count]
    return [(interpretation.features[i], float(contributions[i])) for i in order if contributions[i] > 0]
