"""Sanity checks: how alike the maps of a method stay when the network that they explain becomes another one.

A method whose maps stay the same whatever the parameters of the network are explains the image and not the network.
Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, sections 4 and 5.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.methods import Method
from vebi.benchmark.random_networks import Condition, RandomNetworks
from vebi.benchmark.runner import Scores, bind_methods, cached_scores, code_of_scores, errors_of
from vebi.benchmark.scoring import positive_maps
from vebi.errors import VebiError, VebiWarning
from vebi.methods.base import Explainer
from vebi.metrics.similarity import is_empty, rank_correlation, structural_similarity
from vebi.progress import Progress, StageProgress, stage


def sanity_scores(
    networks: RandomNetworks,
    truth: GroundTruth,
    foregrounds: Bool[Tensor, "n h w"],
    methods: Sequence[Method],
    folder: Path,
    *,
    progress: StageProgress | None = None,
) -> dict[str, Scores]:
    """Compares the maps of every method for a network with those for other ones, image by image.

    Every image is explained for the same class under every condition. Methods that no network is asked for are left
    out. What a folder holds by this code, of the same networks, images and foregrounds, is used again.

    Args:
        networks: The trained network and those to compare it with.
        truth: A few images and their targets.
        foregrounds: The pixels that count, at the resolution of the network's input, at least one per image: elsewhere
            maps are alike because there is nothing to see.
        methods: The methods.
        folder: Where the scores of each method are kept.
        progress: Called with (name of a method, conditions done, conditions).

    Returns:
        By method an array with a number per image for ``sanity.CONDITION.rank_correlation`` and
        ``sanity.CONDITION.structural_similarity``, of the positive parts of both maps, in [-1, 1], and NaN where one of
        them is constant on the foreground; for ``sanity.CONDITION.empty``, 1 where that is so under the condition and 0
        elsewhere; and for ``sanity.empty``, the same of the trained network. A method that cannot be used under a
        condition, or nothing to be fitted there, makes its maps empty.

    Raises:
        UsageError: Foregrounds of another shape or without a pixel, or a method that is needed cannot be used on the
            trained network.
        ModelError: A method fails or gives no maps on the trained network; the message says which one.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, sections 3 to 5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    comparison = _Comparison(networks, truth, foregrounds)
    origin, scores = comparison.key(), {}
    asked = [method for method in methods if method.uses_network]
    for method, explainer in bind_methods(networks.interpretation, asked).items():
        key = f"{origin} {method.key or repr(explainer)} {method.uses_features}"
        compute = partial(comparison.score, method, explainer, stage(progress, method.name))
        with errors_of(method):
            scores[method.name] = cached_scores(folder / f"{method.name}.sanity.safetensors", key, compute)
    return scores


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The networks and the images that every method is asked for."""

    networks: RandomNetworks
    truth: GroundTruth
    foregrounds: Bool[Tensor, "n h w"]

    def key(self) -> str:
        """All that scores depend on besides the method."""
        networks = self.networks
        foregrounds = hashlib.sha256(np.packbits(self.foregrounds.numpy()).tobytes()).hexdigest()
        interpretations = [i for i in (networks.interpretation, networks.permuted) if i is not None]
        learned = [f"{i.fingerprint()} {i.require_classifier().sha256()}" for i in interpretations]
        mus, settings = networks.interpretation.mus, networks.interpretation.settings
        images = (
            f"{networks.fit_images.fingerprint()} {networks.fit_per_class} {self.truth.fingerprint()} {foregrounds}"
        )
        return f"{code_of_scores()} {learned} {mus} {settings.labels} {settings.signed} {images} {networks.seed}"

    def score(self, method: Method, explainer: Explainer, progress: Progress | None) -> Scores:
        """The scores of one method."""
        trained = self._maps(explainer)
        scores = {"sanity.empty": is_empty(trained, self.foregrounds).double().numpy()}
        compared: dict[Condition, Scores] = {}
        conditions = self.networks.conditions
        for k, condition in enumerate(conditions, start=1):
            simplified = self.networks.simplify(condition, method.uses_features)
            if simplified not in compared:
                compared[simplified] = self._compare(trained, self._maps_under(simplified, method))
            scores |= {f"sanity.{condition.name}.{name}": values for name, values in compared[simplified].items()}
            if progress:
                progress(k, len(conditions))
        return scores

    def _compare(self, trained: Float[Tensor, "n h w"], maps: Float[Tensor, "n h w"]) -> Scores:
        where = self.foregrounds
        return {
            "rank_correlation": rank_correlation(trained, maps, where).numpy(),
            "structural_similarity": structural_similarity(trained, maps, where).numpy(),
            "empty": is_empty(maps, where).double().numpy(),
        }

    def _maps_under(self, condition: Condition, method: Method) -> Float[Tensor, "n h w"]:
        """The maps under a condition; zeros where there are none."""
        interpretation = self.networks.interpret(condition)
        if interpretation is None:
            return torch.zeros(self.truth.masks.shape)
        try:
            with errors_of(method):
                return self._maps(method.make(interpretation))
        except VebiError as error:  # what fails on the trained network, too, was raised there
            warnings.warn(f"{method.name} has no maps for {condition.name!r}: {error}", VebiWarning, stacklevel=2)
            return torch.zeros(self.truth.masks.shape)

    def _maps(self, explainer: Explainer) -> Float[Tensor, "n h w"]:
        return torch.cat([positive_maps(explainer, inputs, targets) for inputs, targets in self._batches])

    @cached_property
    def _batches(self) -> list[tuple[Float[Tensor, "b c h w"], Int[Tensor, " b"]]]:
        """The inputs and targets, decoded once for all methods."""
        return [(inputs, targets) for _, inputs, targets in self.truth.batches(self.networks.batch_size)]
