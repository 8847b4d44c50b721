"""The whole story on rendered flowers: render, train, fit, explain, score, report."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vebi import provenance
from vebi.evaluation.iou import auc_iou
from vebi.explanation import Explanation, explain
from vebi.fitting import interpret
from vebi.flowers import carrier_mask, generate
from vebi.flowers.training import split, train
from vebi.images import open_images
from vebi.loading import load_classifier
from vebi.report.gallery import write_gallery
from vebi.report.page import render, write
from vebi.storage import write_json

VARIANT = "single-6c"
IMAGES_PER_CLASS = 200
EPOCHS = 10
FOLD = 0
MU = 5.0
METHODS = {"vebi": "centred", "vebi-without-stride-fix": None}


def run(out: Path, *, progress: Callable[[str, int, int], None] | None = None) -> dict[str, Any]:
    """Makes or completes the demo in ``out`` and returns the contents of its ``summary.json``.

    What is there from an earlier call is used again. ``progress`` is called with (stage, done, all).
    """
    out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}

    def tell(stage: str):
        return None if progress is None else lambda done, total: progress(stage, done, total)

    with _timed(seconds, "flowers"):
        dataset = generate(
            out / "flowers", variant=VARIANT, images_per_class=IMAGES_PER_CLASS, progress=tell("flowers")
        )
    with _timed(seconds, "train"):
        checkpoint = out / "network.safetensors"
        training = train(out / "flowers", checkpoint, epochs=EPOCHS, fold=FOLD, progress=tell("training"))
    with _timed(seconds, "fit"):
        classifier = load_classifier(checkpoint)
        images = open_images(out / "flowers", classifier.class_names)
        learnt, held_out = ([images.path(i) for i in part] for part in split(images, FOLD))
        interpretation = interpret(classifier, learnt, mu=MU, out=out / "run", progress=progress)
    explanations: dict[str, list[Explanation]] = {}
    with _timed(seconds, "explain"):
        for method, fix in METHODS.items():
            explanations[method] = explain(
                interpretation, held_out, stride_fix=fix, progress=tell(f"explain {method}"[:14])
            )
    with _timed(seconds, "score"):
        masks = true_masks(held_out, dataset)
        scores = {method: score(found, masks) for method, found in explanations.items()}
    with _timed(seconds, "report"):
        shown = [held_out[i] for i in range(0, len(held_out), len(held_out) // (2 * len(classifier.class_names)))]
        write_gallery(interpretation, shown, out / "explanations")
        page = render(
            interpretation,
            [e for e in explanations["vebi"] if Path(e.image_id) in shown],
            title="What a small network knows about flowers",
            facts={
                "data": f"{dataset['name']}, {VARIANT}: the colour of the petals is the class",
                "network": f"{classifier.spec}, trained on {training.images} pictures",
                "accuracy": f"{training.accuracy:.1%} of {training.held_out} held-out pictures",
            },
            scores=scores,
        )
        write(out / "report.html", page)
    summary = {
        "accuracy": training.accuracy,
        "held_out_images": training.held_out,
        "mu": MU,
        "features_per_class": {name: len(interpretation.selected(name)) for name in interpretation.classes},
        "max_relative_gap": float(interpretation.gaps.max()),
        "auc_iou": scores,
        "seconds": seconds,
        "versions": provenance.versions(),
        "model_sha256": interpretation.provenance["settings"]["model"]["sha256"],
        "data_sha256": dataset["sha256"],
        "seed": dataset["seed"],
    }
    write_json(out / "summary.json", summary)
    return summary


def true_masks(pictures: list[Path], dataset: dict[str, Any]) -> torch.Tensor:
    """N x H x W bool: the visible pixels of the part that makes the class of each picture of a flower data set."""
    masks = []
    for path in pictures:
        with Image.open(path.parents[2] / "masks" / path.parent.name / path.name) as labels:
            masks.append(carrier_mask(np.array(labels), path.parent.name, dataset))
    return torch.from_numpy(np.stack(masks))


def score(explanations: list[Explanation], masks: torch.Tensor) -> float:
    """Mean area under the IoU curve of the combined maps, in percent."""
    maps = torch.from_numpy(np.stack([e.combined() for e in explanations]))
    return 100 * float(auc_iou(maps, masks).mean())


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 2)
