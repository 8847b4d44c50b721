"""Activations -> one number a channel; the numbers of a data set -> a table on disk.

The descriptor of a picture (Oramas et al., ICLR 2019, section 3, and their released code): for every channel of every
tapped layer the sum of squared activations over its positions, divided by the sum over the layer's channels; the layers
side by side; the whole vector scaled to l2 norm 1. A layer that is silent for a picture gives zeros.

The table is written shard by shard, each under its final name only when it is whole: a pass that was stopped at any
moment goes on with the first shard that is missing and gives the same table as one that was not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vebi.activations.layers import Layer
from vebi.activations.recorder import Recorder
from vebi.errors import ModelError
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Descriptor:
    """How activations become numbers.

    ``energy``: ``squared`` sums squared activations (the authors' code), ``l2`` takes their l2 norm (their later work).
    ``unit_norm``: scale the whole vector to l2 norm 1 (the authors' code; a later port skips it).
    """

    energy: str = "squared"
    unit_norm: bool = True


def channel_energy(activation: Tensor, energy: str) -> Float[Tensor, "n channels"]:
    """One number a channel of N x C x H x W (or N x C) activations: the sum of squares, or its root."""
    norms = activation.abs() if activation.ndim == 2 else torch.linalg.vector_norm(activation, dim=(2, 3))
    return norms.square() if energy == "squared" else norms


def descriptors(energies: Sequence[Float[Tensor, "n _"]], unit_norm: bool) -> Float[Tensor, "n p"]:
    """The rows of the table, float32, from the energies of every layer."""
    shares = []
    for energy in energies:
        energy = energy.double()
        total = energy.sum(dim=1, keepdim=True)
        shares.append(torch.where(total > 0, energy / torch.where(total > 0, total, 1), 0))
    rows = torch.cat(shares, dim=1)
    if unit_norm:
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        rows = rows / torch.where(length > 0, length, 1)
    return rows.float()


def describe(
    classifier: Classifier, layers: Sequence[Layer], inputs: Float[Tensor, "n c h w"], descriptor: Descriptor
) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n classes"]]:
    """Descriptors and class scores of one batch. Raises ModelError for activations that are not finite."""
    names = [layer.name for layer in layers]

    def energy(name: str, _kind: str, activation: Tensor) -> Tensor:
        found = channel_energy(activation, descriptor.energy)
        if not found.isfinite().all():
            raise ModelError(f"the activations of {name} hold NaN or infinity: check the weights and the preparation")
        return found

    with torch.no_grad(), Recorder(classifier.module, names, energy) as recorder:
        scores = classifier.scores(inputs)
    return descriptors([recorder.kept[name] for name in names], descriptor.unit_norm), scores


# --- the table ------------------------------------------------------------------------------------------------------
