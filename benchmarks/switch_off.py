"""What it costs a class to switch its features off: a first, simple form, for descriptors.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.activations.table import DescriptorTable
from vebi.data.collections import evenly_spaced
from vebi.data.sources import open_images
from vebi.interpretation.run_folder import find_classifier, open_table, read_settings
from vebi.models.classifier import Classifier

IMAGES, BATCH, DRAWS = 200, 50, 3


@dataclass(frozen=True)
class SwitchBoard:
    """A network and images to switch its features off in.

    Attributes:
        classifier: The network.
        inputs: n x c x h x w.
        predicted: The predicted class of each.
        live: Layer -> its features that are on in any image of the fit.
    """

    classifier: Classifier
    inputs: torch.Tensor
    predicted: torch.Tensor
    live: dict[str, list[Feature]]

    def lost(self, features_of_class: Sequence[Sequence[Feature]]) -> tuple[float, float]:
        """The mean loss of probability of the predicted class without its features, and without others.

        Args:
            features_of_class: The features of each class.

        Returns:
            Both in [-1, 1].
        """
        chosen = [list(features_of_class[j]) for j in self.predicted.tolist()]
        rng = np.random.default_rng(0)
        draws = [[others(features, self.live, rng) for features in chosen] for _ in range(DRAWS)]
        everything = self._probabilities([[] for _ in chosen])
        lost = [float((everything - self._probabilities(off)).mean()) for off in (chosen, *draws)]
        return lost[0], float(np.mean(lost[1:]))

    @torch.no_grad()
    def _probabilities(self, off: Sequence[Sequence[Feature]]) -> torch.Tensor:
        """The probability of the class that is predicted with everything on, of each image without these features."""
        parts = []
        for start in range(0, len(off), BATCH):
            rows: dict[str, list[tuple[int, int]]] = {}
            for n, features in enumerate(off[start : start + BATCH]):
                for feature in features:
                    rows.setdefault(feature.layer, []).append((n, feature.channel))

            def switch(name: str, _kind: str, output: torch.Tensor, rows: dict = rows) -> None:
                n, channels = zip(*rows[name], strict=True)
                output[list(n), list(channels)] = 0

            inputs = self.inputs[start : start + BATCH].clone()  # a network may change its input in place
            with self.classifier.evaluation(), ActivationRecorder(self.classifier.model, list(rows), switch):
                logits = self.classifier.logits(inputs)
            probabilities = logits.softmax(dim=1)
            parts.append(probabilities.gather(1, self.predicted[start : start + BATCH, None])[:, 0])
        return torch.cat(parts)


def open_switch_board(run: Path, model: str | None, folder: str | None) -> SwitchBoard:
    """The network of a run, and images of a folder or of its own, spread evenly."""
    settings, classifier = read_settings(run), find_classifier(run, model)
    images = open_images(folder or settings.data.folder, settings.class_names)
    indices = evenly_spaced(range(len(images)), IMAGES)
    inputs = torch.stack([classifier.preprocess.prepare(images.load(k)[0]) for k in indices])
    with torch.no_grad(), classifier.evaluation():
        predicted = torch.cat([classifier.logits(part.clone()).argmax(dim=1) for part in inputs.split(BATCH)])
    live = live_features(open_table(run, settings, Descriptor.paper()))
    return SwitchBoard(classifier, inputs, predicted, live)


def live_features(table: DescriptorTable) -> dict[str, list[Feature]]:
    """Layer -> its features that are on in any image."""
    shares = np.concatenate([shard["descriptors"].max(axis=0, keepdims=True) for shard in table]).max(axis=0)
    live: dict[str, list[Feature]] = {}
    for feature, share in zip(table.features, shares, strict=True):
        if share > 0:
            live.setdefault(feature.layer, []).append(feature)
    return live


def others(features: Sequence[Feature], live: dict[str, list[Feature]], rng: np.random.Generator) -> list[Feature]:
    """As many other features of the same layers, drawn at random."""
    drawn: list[Feature] = []
    for feature in features:
        candidates = [other for other in live[feature.layer] if other not in features and other not in drawn]
        drawn += [candidates[rng.integers(len(candidates))]] if candidates else []
    return drawn
