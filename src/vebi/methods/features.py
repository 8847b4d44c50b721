"""Methods that are fitted: maps of the selected features, backpropagated (vebi's own) or upsampled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import forward_graph
from vebi.explanation.contributions import descriptor_layers, top_contributions
from vebi.explanation.explain import ExplainOptions, evidence_maps
from vebi.interpretation.result import Interpretation
from vebi.methods.cam import check_interpolation


@dataclass(frozen=True)
class FeatureEvidence:
    """vebi's own method: the heatmaps of the features that contribute to the target, combined to one map per image.

    The maps of ``explain`` and ``Explanation.combined_map``, without what else an explanation holds. In [0, 1]; zeros
    where no feature is there.

    Attributes:
        interpretation: What the model has learned, with the classifier attached.
        options: How images are explained.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.

    Example:
        >>> maps = vebi.methods.FeatureEvidence(interpretation)(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2]))
        >>> maps.shape
        torch.Size([2, 32, 32])
    """

    interpretation: Interpretation = field(repr=False)
    options: ExplainOptions = field(default_factory=ExplainOptions)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; in [0, 1]."""
        classifier = self.interpretation.require_classifier()
        with forward_graph(classifier, images, descriptor_layers(self.interpretation)) as (inputs, recorder, logits):
            top, maps, levels = evidence_maps(
                self.interpretation, inputs, recorder, logits, targets.tolist(), self.options
            )
        return _combine(maps, top, inputs, self.options.recipe.combination, levels)


@dataclass(frozen=True)
class UpsampledActivations:
    """Upsampled activations ("Upsam. Act."): the activation maps of the features that vebi would take to the pixels.

    They are upsampled instead, and combined alike. A feature of a layer without positions is the same everywhere, so it
    adds nothing.

    Attributes:
        interpretation: What the model has learned, with the classifier attached.
        max_features: Features per image, at most.
        interpolation: How a map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
        reduction: ``"max"``, elementwise maximum, ``"mean"``, mean weighted by the contributions, or ``"mass"``, see
            ``Explanation.combined_map``.

    Raises:
        UsageError: Another interpolation.

    Reference:
        Oramas et al., BNAIC 2019, table 1.

    Example:
        >>> method = vebi.methods.UpsampledActivations(interpretation)
        >>> method
        UpsampledActivations(max_features=3, interpolation='bilinear', reduction='max')
        >>> method(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    interpretation: Interpretation = field(repr=False)
    max_features: int = 3
    interpolation: str = "bilinear"
    reduction: str = "max"

    def __post_init__(self) -> None:
        check_interpolation(self.interpolation)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; in [0, 1]."""
        classifier = self.interpretation.require_classifier()
        with forward_graph(classifier, images, descriptor_layers(self.interpretation)) as (inputs, recorder, _):
            top = top_contributions(self.interpretation, recorder, targets.tolist(), self.max_features)
        maps = [
            [self._map(recorder.records[f.layer][n], f.channel, inputs) for f, _ in top[n]] for n in range(len(inputs))
        ]
        return _combine(maps, top, inputs, self.reduction)

    def _map(self, activation: Tensor, channel: int, inputs: Tensor) -> Float[np.ndarray, "h w"]:
        """One channel of an image's activations at the resolution of the inputs."""
        plane = activation[channel] if activation.ndim == 3 else activation[channel, None, None]
        return heatmaps.upsample(plane[None], inputs.shape[2:], self.interpolation)[0].cpu().numpy()


def _combine(
    maps: Sequence[Sequence[Float[np.ndarray, "h w"]]],
    top: Sequence[Sequence[tuple[Feature, float]]],
    inputs: Float[Tensor, "n c h w"],
    reduction: str,
    levels: Sequence[Sequence[heatmaps.Levels]] | None = None,
) -> Float[Tensor, "n h w"]:
    """For each image the maps of its features combined to one (``heatmaps.combine``), zeros where it has none."""
    combined = np.zeros((len(inputs), *inputs.shape[2:]), np.float32)
    for n, (image_maps, contributions) in enumerate(zip(maps, top, strict=True)):
        if contributions:
            weights = np.array([c for _, c in contributions])
            combined[n] = heatmaps.combine(np.stack(image_maps), weights, reduction, levels[n] if levels else None)
    return torch.from_numpy(combined).to(inputs.device)
