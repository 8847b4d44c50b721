"""Activations -> one number per channel: the descriptor of an image.

What is kept of an image is the share of each channel in the energy of its layer: the sum of its squared activations
over the positions, divided by that of all channels of the layer. Every descriptor follows from the shares, so that one
pass over the images serves them all. A layer that is silent for an image has shares of 0.

Reference:
    Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3, and their released code.
    Aitchison, "The Statistical Analysis of Compositional Data", JRSS B 44, 1982 (logarithms of shares).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.layers import Layer
from vebi.activations.recorder import ActivationRecorder
from vebi.errors import ModelError, as_bool, require_choice
from vebi.lasso.scaling import CENTRED, PLAIN, STANDARDISED
from vebi.models.classifier import Classifier
from vebi.models.evaluation import widen

ENERGIES = ("squared", "l2")
#: The scale of the columns -> the form of the mu-Lasso.
FORMS = {PLAIN: PLAIN, CENTRED: CENTRED, STANDARDISED: STANDARDISED, "log": CENTRED, "clr": CENTRED}
#: Those that take logarithms.
LOGARITHMIC = ("log", "clr")
#: Added to a share before its logarithm is taken: what a silent channel has.
SILENT = 1e-4


@dataclass(frozen=True)
class Descriptor:
    """How the activations of an image become its descriptor, one number per channel, and on which scale it is fitted.

    The number of a channel is its strength divided by the sum of the strengths of all channels of its layer. The
    numbers of all layers side by side are the descriptor.

    Attributes:
        energy: The strength of a channel: ``l2`` for the l2 norm of its activations over the positions (the authors'
            later work), or ``squared`` for the square of it (their code).
        unit_norm: Whether the descriptor, all layers together, is then scaled to l2 norm 1 (the authors' code; a later
            port does not).
        scaling: What is fitted. ``standardised``: every column less its mean, divided by its standard deviation, so
            that a column counts by how it varies and not by how large it is. ``centred``: less its mean. ``log``: the
            logarithm of the share, less its mean; ``clr``: less the mean logarithm of the layer, too. All of these
            have a constant term. ``plain``: the columns as they are, without one, as the paper has it.

    Raises:
        UsageError: A value is not allowed.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3, and their code.
        Aitchison, "The Statistical Analysis of Compositional Data", JRSS B 44, 1982 (``clr``).

    Example:
        >>> vebi.Descriptor()
        Descriptor(energy='l2', unit_norm=False, scaling='standardised')
        >>> vebi.Descriptor.paper()
        Descriptor(energy='squared', unit_norm=True, scaling='plain')
    """

    energy: str = "l2"
    unit_norm: bool = False
    scaling: str = STANDARDISED

    def __post_init__(self) -> None:
        require_choice("energy", self.energy, ENERGIES)
        object.__setattr__(self, "unit_norm", as_bool("unit_norm", self.unit_norm))
        require_choice("scaling", self.scaling, FORMS)

    @classmethod
    def paper(cls) -> "Descriptor":
        """The descriptor of the paper and the authors' code.

        Reference:
            Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.

        Example:
            >>> vebi.interpret(classifier, "images", mu=1.5, descriptor=vebi.Descriptor.paper()).descriptor.scaling
            'plain'
        """
        return cls("squared", True, PLAIN)

    @property
    def form(self) -> str:
        """The form of the mu-Lasso, see ``vebi.lasso.make_problem``."""
        return FORMS[self.scaling]


def channel_energy(activation: Tensor) -> Float[Tensor, "n channels"]:
    """The energy of every channel: the sum of squares over its positions.

    Args:
        activation: N x C x H x W or N x C.

    Returns:
        N x C, not below 0, float64.
    """
    activation = widen(activation)
    norms = activation.abs() if activation.ndim == 2 else torch.linalg.vector_norm(activation, dim=(2, 3))
    return norms.double().square()


def energy_shares(energies: Sequence[Float[Tensor, "n _"]]) -> Float[np.ndarray, "n p"]:
    """The share of every channel in the energy of its layer.

    Args:
        energies: One N x C tensor per layer, not below 0.

    Returns:
        N x (channels of all layers) float32, in [0, 1].
    """
    strengths = torch.cat(list(energies), dim=1).double().cpu().numpy()
    return share_of_layer(strengths, [energy.shape[1] for energy in energies]).astype(np.float32)


def descriptors(
    shares: Float[np.ndarray, "n p"], layers: Sequence[int], descriptor: Descriptor
) -> Float[np.ndarray, "n p"]:
    """The descriptors of images, before their columns are centred or standardised.

    Args:
        shares: What ``energy_shares`` gives, images x channels of all layers.
        layers: Number of channels of each layer.
        descriptor: What is asked for.

    Returns:
        Images x channels of all layers, float64.
    """
    rows = shares.astype(np.float64)
    # squares, too: they add up to 1 in single precision only, and columns are to depend on each other exactly or not
    rows = share_of_layer(np.sqrt(rows) if descriptor.energy == "l2" else rows, layers)
    if descriptor.unit_norm:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(lengths > 0, lengths, 1)
    if descriptor.scaling in LOGARITHMIC:
        rows = np.log(rows + SILENT)
    if descriptor.scaling == "clr":
        rows -= np.repeat(np.add.reduceat(rows, _starts(layers), axis=1) / layers, layers, axis=1)
    return rows


def share_of_layer(strengths: Float[np.ndarray, "n p"], layers: Sequence[int]) -> Float[np.ndarray, "n p"]:
    """Strengths of channels divided by the sum over their layer.

    Args:
        strengths: Images x channels of all layers, not below 0.
        layers: Number of channels of each layer.

    Returns:
        The same shape; 0 where the layer is silent.
    """
    totals = np.repeat(np.add.reduceat(strengths, _starts(layers), axis=1), layers, axis=1)
    shares: Float[np.ndarray, "n p"] = np.divide(strengths, totals, out=np.zeros_like(strengths), where=totals > 0)
    return shares


def _starts(layers: Sequence[int]) -> Int[np.ndarray, " layers"]:
    """The first column of each layer."""
    return np.cumsum([0, *layers[:-1]])


def describe(
    classifier: Classifier, layers: Sequence[Layer], inputs: Float[Tensor, "n c h w"]
) -> tuple[Float[np.ndarray, "n p"], Float[Tensor, "n classes"]]:
    """Shares of energy and class scores of one batch, in one forward pass.

    Args:
        classifier: The model.
        layers: The layers to record.
        inputs: N x C x H x W preprocessed images, on the device of the model.

    Returns:
        The shares, N x (channels of all layers), and the class scores, N x classes.

    Raises:
        ModelError: Activations or class scores hold NaN or infinity, or a layer did not run.
    """
    names = [layer.name for layer in layers]

    def energy_of_layer(name: str, _kind: str, activation: Tensor) -> Tensor:
        energy = channel_energy(activation)
        if not energy.isfinite().all():
            kind = str(activation.dtype).removeprefix("torch.")
            raise ModelError(
                f"the activations of {name} ({kind}) hold NaN or infinity: check the weights and the preprocessing"
            )
        return energy

    with (
        classifier.evaluation(),
        torch.no_grad(),
        ActivationRecorder(classifier.model, names, energy_of_layer) as recorder,
    ):
        scores = classifier.logits(inputs)
    return energy_shares([recorder.records[name] for name in names]), scores
