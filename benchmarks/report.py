"""How long the page of a large model takes:  python benchmarks/report.py [--classes 1000] [--features 5000] [--json]

A synthetic interpretation (random sparse weights, exemplars of random pixels, 30 values of mu, stability) is drawn
without a network pass: the page of up to 24 classes that `vebi report` writes by default, and the page of all classes.
Printed are the seconds of each, the number of its cards and its size.
"""

import argparse
import json
import time

import numpy as np
from torch import nn

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.explanation.assessment import Assessment
from vebi.interpretation.diagnostics import Diagnostics
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.result import Interpretation
from vebi.interpretation.settings import DataSource, FitSettings, ModelSource
from vebi.interpretation.stability import Stability
from vebi.lasso import Scaling
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess
from vebi.reports.run_report.page import render
from vebi.reports.run_report.selection_summary import MOST_CLASSES

#: Features per class at mu, and at any mu; channels per layer; values of mu.
SELECTED, ON_PATH, CHANNELS, MUS = 10, 16, 256, 30
SPOTLIGHTS, INPUT, MU = 6, 224, 10.0
IMAGES = 50_000


def synthetic(n_classes: int, n_features: int, side: int, seed: int = 0) -> Interpretation:
    """An interpretation of that size, with images of ``side`` x ``side`` pixels."""
    rng = np.random.default_rng(seed)
    names = tuple(f"class {j:04d}" for j in range(n_classes))
    layers = tuple((f"layer{k}", CHANNELS) for k in range(-(-2 * n_features // CHANNELS)))
    columns = np.sort(rng.choice(len(layers) * CHANNELS, n_features, replace=False))
    features = tuple(Feature(layers[c // CHANNELS][0], int(c % CHANNELS)) for c in columns)
    selected = selections(n_classes, n_features, rng)
    weights = np.zeros((n_classes, n_features))
    np.put_along_axis(weights, selected[:, :SELECTED], MU * rng.dirichlet(np.full(SELECTED, 2.0), n_classes), axis=1)
    classifier = Classifier(nn.Linear(1, 1), Preprocess(INPUT, (0.5,) * 3, (0.5,) * 3), names)
    return Interpretation(
        class_names=names,
        features=features,
        columns=tuple(columns.tolist()),
        weights=weights,
        scaling=Scaling(np.zeros(n_features), np.ones(n_features), np.zeros(n_classes)),
        mus=(MU,) * n_classes,
        layer_shares=rng.dirichlet(np.ones(len(layers)), n_classes),
        settings=settings(classifier, layers),
        diagnostics=diagnostics(names),
        exemplars=tuple(exemplar(feature, names, side, rng) for feature in features),
        mu_path=mu_path(selected, columns, rng),
        stability=stability(weights, columns, rng),
        classifier=classifier,
    )


def selections(n_classes: int, n_features: int, rng: np.random.Generator) -> np.ndarray:
    """classes x ON_PATH: distinct features for each class, dealt out so that all are used about equally often."""
    order = np.concatenate([rng.permutation(n_features) for _ in range(-(-n_classes * ON_PATH // n_features))])
    rows = order[: n_classes * ON_PATH].reshape(ON_PATH, n_classes).T.copy()
    for row in rows:
        if len(set(row.tolist())) < ON_PATH:
            row[:] = rng.choice(n_features, ON_PATH, replace=False)
    return rows


def mu_path(selected: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> MuPath:
    n_classes, rows = len(selected), selected.size
    entry = np.sort(rng.integers(0, MUS - 5, selected.shape), axis=1).ravel()
    weights = np.where(np.arange(MUS) >= entry[:, None], rng.random((rows, MUS)), 0)
    mus = np.geomspace(0.1, 100, MUS)
    return MuPath(
        mus=mus,
        candidates=np.ones(MUS, bool),
        r2=rng.uniform(0.2, 0.8, (5, MUS, n_classes)),
        fidelity=rng.uniform(0.5, 0.9, (5, MUS)),
        class_index=np.repeat(np.arange(n_classes), ON_PATH),
        columns=columns[selected.ravel()],
        entry_mu=mus[entry],
        weights=weights,
        fit_r2=rng.uniform(0.2, 0.8, (5, n_classes)),
        fit_fidelity=rng.uniform(0.5, 0.9, 5),
        end_mu=np.full(n_classes, 100.0),
    )


def stability(weights: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> Stability:
    probability = np.where(weights != 0, rng.uniform(0.4, 1, weights.shape), 0)
    correlated = [tuple((int(c), 0.97) for c in rng.choice(columns, rng.integers(0, 4))) for _ in columns]
    return Stability(50, probability, probability, tuple(correlated))


def exemplar(feature: Feature, names: tuple[str, ...], side: int, rng: np.random.Generator) -> Exemplar:
    average, *spotlights = map(EncodedImage.encode, smooth_noise(rng, SPOTLIGHTS + 1, side))
    top = rng.choice(len(names), 5, replace=False)
    return Exemplar(
        feature=feature,
        positions=(7, 7),
        receptive_field=(side, side),
        count=100,
        predicted={names[j]: 20 for j in top},
        image_ids=tuple(f"{names[j]}/{j}.png" for j in rng.integers(len(names), size=SPOTLIGHTS)),
        spotlights=tuple(spotlights),
        average=average,
        contrast=40.0,
        consistency=float(rng.random()),
    )


def smooth_noise(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Random walks over the plane, which compress as photographs do."""
    walk = rng.normal(0, 4, (count, side, side, 3)).cumsum(axis=1).cumsum(axis=2)
    return (128 + walk).clip(0, 255).astype(np.uint8)


def settings(classifier: Classifier, layers: tuple[tuple[str, int], ...]) -> FitSettings:
    return FitSettings(
        model=ModelSource("synthetic", None, "0" * 64),
        class_names=classifier.class_names,
        preprocess=classifier.preprocess,
        data=DataSource(IMAGES, "0" * 64, None),
        layers=layers,
        mu=MU,
        features_per_class=None,
        signed=False,
        labels="predicted",
        descriptor=Descriptor(),
        stability=True,
        batch_size=32,
        shard_size=512,
        strict=False,
    )


def diagnostics(names: tuple[str, ...]) -> Diagnostics:
    zeros = (0.0,) * len(names)
    return Diagnostics(
        accuracy=0.8,
        fidelity=0.7,
        gaps=zeros,
        violations=zeros,
        complete=(True,) * len(names),
        images_per_class=dict.fromkeys(names, IMAGES // len(names)),
        skipped={},
        notes=(),
        created="",
        versions={},
    )


def assessment(names: tuple[str, ...]) -> Assessment:
    """Counts alone: examples are few whatever the number of classes."""
    return Assessment(
        looked_at=5 * len(names),
        total=IMAGES,
        correct=dict.fromkeys(names, 4),
        labelled=dict.fromkeys(names, 5),
        typical=(),
        mistakes=(),
        confusions=(),
        scores={},
        scored=0,
    )


def measure(interpretation: Interpretation) -> list[dict]:
    names = interpretation.class_names
    rows = []
    for what, classes in (
        (f"default, {min(MOST_CLASSES, len(names))} classes", None),
        (f"all {len(names)} classes", names),
    ):
        started = time.perf_counter()
        page = render(interpretation, assessment(names), title="synthetic", class_names=classes)
        seconds = time.perf_counter() - started
        rows.append({"page": what, "seconds": seconds, "cards": page.count("<article"), "mib": len(page) / 2**20})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--features", type=int, default=5000)
    parser.add_argument("--side", type=int, default=16, help="pixels of a side of the images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(synthetic(options.classes, options.features, options.side))
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['page']:<20} {row['seconds']:7.1f} s {row['cards']:7,} cards {row['mib']:7.1f} MiB")


if __name__ == "__main__":
    main()
