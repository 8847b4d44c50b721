"""What an explanation holds: a prediction with one heatmap for each feature that contributed to it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vebi.activations.layers import Feature
from vebi.backprop import heatmaps
from vebi.backprop.graph_audit import Finding


@dataclass(frozen=True, eq=False)
class Evidence:
    """One feature that contributed to a class in one image.

    Attributes:
        feature: The feature.
        contribution: x_i w_ic / ||w_c||_1 of feature i and class c: x is the descriptor of the image as it was fitted
            (where it is centred, how far it lies above its mean), w_c are the weights of the class. Above 0, unless
            no feature of the class is stronger than usual in the image: then those that are most present are shown.
        heatmap: What the recipe reads of a backward pass that starts with grad_output = the activation map of the
            feature, and zeros elsewhere, see ``Recipe``; h x w float32 at the input resolution of the network. Raw,
            that is not scaled, and never below 0.
        levels: What the heatmap was before it was kept to the class: a feature that is elsewhere stays dark. None where
            that is the heatmap as it is.

    Example:
        >>> evidence = vebi.explain(interpretation, "images/red/00.png").evidence[0]
        >>> evidence.feature in interpretation.features
        True
        >>> evidence.contribution > 0
        True
    """

    feature: Feature
    contribution: float
    heatmap: Float[np.ndarray, "h w"] = field(repr=False)
    levels: heatmaps.Levels | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction for one image and the evidence for one class, the predicted one unless another was asked for.

    Attributes:
        image_id: The path of the image, or its index in a data set or list of images.
        prediction: The predicted class.
        probability: Softmax probability of the prediction, in [0, 1], even where another target is explained.
        target: The class that is explained.
        evidence: The features that contributed to the target, the largest contribution first. Where none did, those
            that are most present; empty where there are none of these either.
        audit: Each non-linearity between the features that were explained in its batch and the image, and whether the
            backprop rule covers it.
        combination: How its recipe makes one map of the heatmaps, see ``combined_map``.
        image: The image as the network saw it, h x w x 3 uint8.

    Example:
        >>> explanation = vebi.explain(interpretation, "images/red/00.png", target="red")
        >>> explanation.prediction, explanation.target
        ('red', 'red')
        >>> explanation.image.shape
        (32, 32, 3)
        >>> explanation.combined_map().max()
        np.float32(1.0)
    """

    image_id: str
    prediction: str
    probability: float
    target: str
    evidence: tuple[Evidence, ...]
    audit: tuple[Finding, ...] = field(repr=False)
    combination: str = field(repr=False)
    image: UInt8[np.ndarray, "h w 3"] = field(repr=False)

    @property
    def is_weaker_than_usual(self) -> bool:
        """Whether no feature contributed, so that those are shown that are most present, all alike."""
        return bool(self.evidence) and all(e.contribution <= 0 for e in self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """The explanation without its arrays, as JSON takes it.

        Returns:
            ``image`` (its id), ``prediction``, ``probability``, ``target``, ``evidence`` (``feature`` and
            ``contribution`` of each) and ``uncovered`` (the non-linearities that the backprop rule does not cover).
        """
        return {
            "image": self.image_id,
            "prediction": self.prediction,
            "probability": self.probability,
            "target": self.target,
            "evidence": [{"feature": str(e.feature), "contribution": e.contribution} for e in self.evidence],
            "uncovered": [str(finding) for finding in self.audit if not finding.covered],
        }

    def combined_map(self, reduction: str | None = None) -> Float[np.ndarray, "h w"]:
        """One map of all evidence.

        Args:
            reduction: ``"max"``, the elementwise maximum of the heatmaps, each min-max scaled; ``"mean"``, the mean of
                these, weighted by the contributions; ``"mass"``, the mean of the heatmaps divided by their sums,
                likewise. By default that of the recipe.

        Returns:
            h x w float32 in [0, 1]; zeros where there is no evidence.

        Raises:
            UsageError: There is no such reduction.

        Reference:
            The maximum is that of the released code of Oramas, Wang and Tuytelaars, ICLR 2019.
        """
        if not self.evidence:
            return np.zeros(self.image.shape[:2], np.float32)
        maps = np.stack([e.heatmap for e in self.evidence])
        contributions = np.array([e.contribution for e in self.evidence])
        return heatmaps.combine(maps, contributions, reduction or self.combination, self._levels())

    def display_maps(self) -> list[Float[np.ndarray, "h w"]]:
        """The heatmaps of the evidence, each scaled to [0, 1] for display.

        Returns:
            One map for each entry of ``evidence``, clipped at its 99th percentile and min-max scaled, so that a single
            pixel does not leave all others dark; not clipped where its 99th percentile is its minimum. One of which
            less than a tenth is left where the class is stays dark.
        """
        shown = zip(self.evidence, self._levels(), strict=True)
        return [heatmaps.clip_for_display(e.heatmap) * levels.brightness(e.heatmap) for e, levels in shown]

    def _levels(self) -> list[heatmaps.Levels]:
        return [e.levels or heatmaps.levels_of(e.heatmap) for e in self.evidence]

    def combined_display_map(self) -> Float[np.ndarray, "h w"]:
        """The heatmaps of the evidence as one, scaled to [0, 1] for display.

        Returns:
            ``combined_map``, clipped and scaled as ``display_maps``; where it is the elementwise maximum, that of
            ``display_maps``, so that it looks like these. Zeros where there is no evidence.
        """
        if self.combination == "max" and self.evidence:
            highest: np.ndarray = np.max(self.display_maps(), axis=0)
            return highest
        return heatmaps.clip_for_display(self.combined_map())
