"""Upsampled activations of the selected features, "Upsam. Act." (Oramas et al., BNAIC 2019, table 1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import back_from, forward_graph
from vebi.explanation.contributions import contributors, tapped
from vebi.explanation.explain import Settings
from vebi.interpretation.result import Interpretation
from vebi.methods.cam import check_interpolation, enlarge


@dataclass(frozen=True)
class UpsampledActivations:
    """The activation maps of the features that vebi would lead back to the pixels, enlarged instead and combined alike.

    A feature of a layer without positions is the same everywhere, so it adds nothing.
    """

    interpretation: Interpretation = field(repr=False)
    features: int = 3
    interpolation: str = "bilinear"
    reduction: str = "max"

    def __post_init__(self):
        check_interpolation(self.interpolation)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        classifier = self.interpretation.require_classifier()
        with forward_graph(classifier, images, tapped(self.interpretation)) as (inputs, recorder, _):
            chosen = contributors(self.interpretation, recorder, targets.tolist(), self.features)
        maps = [
            [self._map(recorder.kept[f.layer][n], f.channel, inputs) for f, _ in chosen[n]] for n in range(len(inputs))
        ]
        return combine_all(maps, chosen, inputs, self.reduction)

    def _map(self, activation: Tensor, channel: int, inputs: Tensor):
        plane = activation[channel] if activation.ndim == 3 else activation[channel, None, None]
        return enlarge(plane[None], inputs[:1], self.interpolation)[0].cpu().numpy()


@dataclass(frozen=True)
class CombinedMaps:
    """An ``Explainer``: the evidence for the targets as one map a picture, in [0, 1]; zeros where there is none.

    The maps of ``explain_batch`` and ``Explanation.combined``, without what else an explanation holds.
    """

    interpretation: Interpretation = field(repr=False)
    settings: Settings = Settings()
    reduction: str = "max"

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        rule, fix = self.settings.rule, self.settings.stride_fix
        classifier = self.interpretation.require_classifier()
        with forward_graph(classifier, images, tapped(self.interpretation)) as (inputs, recorder, _):
            chosen = contributors(self.interpretation, recorder, targets.tolist(), self.settings.features)
            features = [[feature for feature, _ in evidence] for evidence in chosen]
            maps = back_from(recorder, inputs, features, rule=rule, stride_fix=fix)
        return combine_all(maps, chosen, inputs, self.reduction)


def combine_all(
    maps: Sequence[Sequence[Float[np.ndarray, "h w"]]],
    chosen: Sequence[Sequence[tuple[Feature, float]]],
    inputs: Float[Tensor, "n c h w"],
    reduction: str = "max",
) -> Float[Tensor, "n h w"]:
    """For every picture its features' maps combined to one (``heatmaps.combine``), zeros where it has none."""
    found = np.zeros((len(inputs), *inputs.shape[2:]), np.float32)
    for n, (some, evidence) in enumerate(zip(maps, chosen, strict=True)):
        if evidence:
            found[n] = heatmaps.combine(np.stack(some), np.array([c for _, c in evidence]), reduction)
    return torch.from_numpy(found).to(inputs.device)
