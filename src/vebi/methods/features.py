"""Upsampled activations of the selected features, "Upsam. Act." (Oramas et al., BNAIC 2019, table 1)."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop.feature_maps import forward_graph
from vebi.explanation.explain import combine_all, contributors, tapped
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
