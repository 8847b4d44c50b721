"""The whole path on rendered flowers: render, train, fit, explain, report with scores."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vebi import provenance
from vebi.data.collections import ImageFiles
from vebi.data.sources import open_images
from vebi.datasets.flowers import generate
from vebi.datasets.flowers.folds import split
from vebi.datasets.flowers.training import Training, train
from vebi.explanation.assessment import Assessment
from vebi.files import write_json
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation
from vebi.models.load import load_classifier
from vebi.outputs import output_folder
from vebi.progress import StageProgress, stage
from vebi.reports.gallery import write_gallery
from vebi.reports.run_report.page import write_report

VARIANT = "single-6c"
IMAGES_PER_CLASS = 200
EPOCHS = 10
FOLD = 0
EXPLAINED_PER_CLASS = 2
#: Areas under the IoU curve in percent with five seeds, from benchmarks/demo_seeds.py: a processor that rounds
#: differently trains another network, as another seed does.
RANGES = {
    "vebi": (70, 76),
    "vebi-paper-heatmaps": (36, 47),
    "vebi-paper-heatmaps-without-stride-fix": (25, 31),
    "whole-image": (11, 12),
}
TITLE = "What a small network knows about flowers"


def run(out: Path, *, seed: int = 0, progress: StageProgress | None = None) -> dict[str, Any]:
    """Makes the demo in a folder, or completes it: what an earlier call finished is kept.

    Args:
        out: The folder. It gets ``flowers``, ``network.safetensors``, ``run``, ``explanations``, ``report.html`` and
            ``summary.json``.
        seed: Of the flowers and of the training.
        progress: Called with (stage, done, total).

    Returns:
        The contents of ``summary.json``.
    """
    with output_folder(out):
        seconds: dict[str, float] = {}
        with _timed(seconds, "flowers"):
            dataset = generate(
                out / "flowers",
                variant=VARIANT,
                images_per_class=IMAGES_PER_CLASS,
                seed=seed,
                progress=stage(progress, "flowers"),
            )
        with _timed(seconds, "train"):
            checkpoint = out / "network.safetensors"
            training = train(
                out / "flowers", checkpoint, epochs=EPOCHS, fold=FOLD, seed=seed, progress=stage(progress, "training")
            )
        with _timed(seconds, "fit"):
            interpretation, held_out = _fit(out, checkpoint, progress)
        with _timed(seconds, "explain"):
            step = len(held_out) // (EXPLAINED_PER_CLASS * len(interpretation.class_names))
            write_gallery(
                interpretation, held_out[::step], out / "explanations", progress=stage(progress, "explanations")
            )
        with _timed(seconds, "report"):
            assessment = write_report(
                interpretation, out / "report.html", images=held_out, title=TITLE, progress=progress
            )
        summary = _summary(dataset, training, interpretation, assessment, seconds)
        write_json(out / "summary.json", summary)
        return summary


def _fit(out: Path, checkpoint: Path, progress: StageProgress | None) -> tuple[Interpretation, list[Path]]:
    """The interpretation of the network, and the paths of the images that are held out of its training."""
    classifier = load_classifier(checkpoint)
    images = open_images(out / "flowers", classifier.class_names)
    assert isinstance(images, ImageFiles)  # they were opened from a folder
    training_images, held_out = ([images.path(i) for i in indices] for indices in split(images, FOLD))
    return interpret(classifier, training_images, out=out / "run", progress=progress), held_out


def _summary(
    dataset: dict[str, Any],
    training: Training,
    interpretation: Interpretation,
    assessment: Assessment,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What ``summary.json`` holds."""
    return {
        "accuracy": training.accuracy,
        "held_out_images": training.held_out,
        "features_per_class": {name: len(interpretation.select_features(name)) for name in interpretation.class_names},
        "max_relative_gap": max(interpretation.diagnostics.gaps),
        "auc_iou": assessment.scores,
        "seconds": seconds,
        "versions": provenance.versions(),
        "model_sha256": interpretation.settings.model.sha256,
        "data_sha256": dataset["sha256"],
        "seed": dataset["seed"],
    }


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds how long the block took."""
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 2)
