"""The features that contribute most to a class in an image.

Source: Oramas, Wang and Tuytelaars, ICLR 2019, section 3.2: for class c and the descriptor x of an image, feature i
contributes x_i w_ic / ||w_c||_1. Where the descriptor is centred, x_i is how far it lies above its mean over the images
of the fit, and a feature contributes that is stronger than usual.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vebi.activations.descriptors import LOGARITHMIC, channel_energy, descriptors, energy_shares
from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.interpretation.result import Interpretation


def descriptor_layers(interpretation: Interpretation) -> list[str]:
    """The names of the layers that the descriptor of an interpretation is made of.

    Args:
        interpretation: What the model has learned.

    Returns:
        The names, each once, in the order of the descriptor.
    """
    return list(dict.fromkeys(layer for layer, _ in interpretation.layers))


def top_contributions(
    interpretation: Interpretation, recorder: ActivationRecorder[Tensor], targets: Sequence[int], count: int
) -> list[list[tuple[Feature, float]]]:
    """The features with the largest positive contributions to its target, for each recorded image.

    Args:
        interpretation: What the model has learned.
        recorder: Holds the activations of ``descriptor_layers`` for a batch of n images.
        targets: n class indices.
        count: Features per image, at most.

    Returns:
        For each image (feature, contribution), the largest contribution first; fewer than ``count`` where fewer are
        positive. Where none is, those of positive weight that are most present, by w_i times their share in their
        layer on the scale of the fit, with their contributions, which are not positive then; none with logarithms, or
        where all are silent.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.
    """
    shares = energy_shares([channel_energy(recorder.records[name]) for name in descriptor_layers(interpretation)])
    layers = [channels for _, channels in interpretation.layers]
    x = descriptors(shares, layers, interpretation.descriptor)[:, list(interpretation.columns)]
    rows, present = interpretation.scaling.apply(x), np.maximum(x, 0) / interpretation.scaling.scale
    if interpretation.descriptor.scaling in LOGARITHMIC:
        present = np.zeros_like(present)
    rows_of = zip(rows, present, targets, strict=True)
    return [_top_k(interpretation, row, here, target, count) for row, here, target in rows_of]


def _top_k(
    interpretation: Interpretation,
    descriptor: Float[np.ndarray, " features"],
    present: Float[np.ndarray, " features"],
    target: int,
    k: int,
) -> list[tuple[Feature, float]]:
    """At most k features with positive contributions to a class; where there is none, those that are most present."""
    weights = interpretation.weights[target]
    norm = np.abs(weights).sum()
    if norm == 0:
        return []
    # by a negative weight what is weaker than usual contributes, too, but there is nothing of it to be shown
    contributing = np.where(descriptor > 0, descriptor * weights, 0)
    ranked = contributing if contributing.max() > 0 else present * np.maximum(weights, 0)
    shown = [i for i in np.argsort(-ranked, kind="stable")[:k] if ranked[i] > 0]
    return [(interpretation.features[i], float(descriptor[i] * weights[i] / norm)) for i in shown]
