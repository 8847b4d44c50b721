"""Activations -> one number per channel: the descriptor of an image.

The strength of a channel is the sum of its squared activations over the positions, or the root of that sum. In either
case it is divided by the sum over the channels of its layer. The layers stand side by side, and the whole vector is
scaled to l2 norm 1 where ``unit_norm`` asks for it. A layer that is silent for an image gives zeros.

Reference:
    Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3, and their released code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vebi.activations.layers import Layer
from vebi.activations.recorder import ActivationRecorder
from vebi.errors import ModelError
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Descriptor:
    """How the activations of an image become its descriptor, one number per channel.

    The number of a channel is its strength divided by the sum of the strengths of all channels of its layer. The
    numbers of all layers side by side are the descriptor.

    Attributes:
        energy: The strength of a channel: ``squared`` for the sum of its squared activations over the positions (the
            authors' code), ``l2`` for the root of that sum, the l2 norm (their later work).
        unit_norm: Whether the descriptor, all layers together, is then scaled to l2 norm 1 (the authors' code; a later
            port does not).

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3, and their code.

    Example:
        >>> vebi.Descriptor()
        Descriptor(energy='squared', unit_norm=True)
    """

    energy: str = "squared"
    unit_norm: bool = True


def channel_energy(activation: Tensor, energy: str) -> Float[Tensor, "n channels"]:
    """The energy of every channel: the sum of squares over its positions, or the root of it.

    Args:
        activation: N x C x H x W or N x C.
        energy: ``squared`` or ``l2``, see ``Descriptor``.

    Returns:
        N x C, not below 0.
    """
    norms = activation.abs() if activation.ndim == 2 else torch.linalg.vector_norm(activation, dim=(2, 3))
    return norms.square() if energy == "squared" else norms


def descriptors(energies: Sequence[Float[Tensor, "n _"]], unit_norm: bool) -> Float[Tensor, "n p"]:
    """The rows of the table from the energies of every layer.

    Args:
        energies: One N x C tensor per layer, not below 0.
        unit_norm: Whether every row is scaled to l2 norm 1.

    Returns:
        N x (channels of all layers) float32, in [0, 1]; computed in float64.
    """
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
    """Descriptors and class scores of one batch, in one forward pass.

    Args:
        classifier: The model, in evaluation mode.
        layers: The layers to record.
        inputs: N x C x H x W preprocessed images, on the device of the model.
        descriptor: How activations become numbers.

    Returns:
        The descriptors, N x (channels of all layers), and the class scores, N x classes.

    Raises:
        ModelError: Activations or class scores hold NaN or infinity, or a layer did not run.
    """
    names = [layer.name for layer in layers]

    def energy_of_layer(name: str, _kind: str, activation: Tensor) -> Tensor:
        energy = channel_energy(activation, descriptor.energy)
        if not energy.isfinite().all():
            raise ModelError(f"the activations of {name} hold NaN or infinity: check the weights and the preprocessing")
        return energy

    with torch.no_grad(), ActivationRecorder(classifier.model, names, energy_of_layer) as recorder:
        scores = classifier.logits(inputs)
    return descriptors([recorder.records[name] for name in names], descriptor.unit_norm), scores
