"""The whole story on rendered flowers: render, train, fit, explain, report with scores."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vebi import provenance
from vebi.data.sources import open_images
from vebi.datasets.flowers import generate
from vebi.datasets.flowers.training import split, train
from vebi.files import write_json
from vebi.interpretation.fit import interpret
from vebi.models.load import load_classifier
from vebi.progress import StageProgress, of_stage
from vebi.reports.gallery import write_gallery
from vebi.reports.study_page import write_report

VARIANT = "single-6c"
IMAGES_PER_CLASS = 200
EPOCHS = 10
FOLD = 0
MU = 5.0


def run(out: Path, *, progress: StageProgress | None = None) -> dict[str, Any]:
    """Makes or completes the demo in ``out`` and returns the contents of its ``summary.json``.

    What is there from an earlier call is used again. ``progress`` is called with (stage, done, all).
    """
    out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}

    with _timed(seconds, "flowers"):
        dataset = generate(
            out / "flowers", variant=VARIANT, images_per_class=IMAGES_PER_CLASS, progress=of_stage(progress, "flowers")
        )
    with _timed(seconds, "train"):
        checkpoint = out / "network.safetensors"
        training = train(out / "flowers", checkpoint, epochs=EPOCHS, fold=FOLD, progress=of_stage(progress, "training"))
    with _timed(seconds, "fit"):
        classifier = load_classifier(checkpoint)
        images = open_images(out / "flowers", classifier.class_names)
        learnt, held_out = ([images.path(i) for i in part] for part in split(images, FOLD))
        interpretation = interpret(classifier, learnt, mu=MU, out=out / "run", progress=progress)
    with _timed(seconds, "explain"):
        shown = [held_out[i] for i in range(0, len(held_out), len(held_out) // (2 * len(classifier.class_names)))]
        write_gallery(interpretation, shown, out / "explanations", progress=of_stage(progress, "explanations"))
    with _timed(seconds, "report"):
        found = write_report(
            interpretation,
            out / "report.html",
            images=held_out,
            title="What a small network knows about flowers",
            progress=progress,
        )
    summary = {
        "accuracy": training.accuracy,
        "held_out_images": training.held_out,
        "mu": MU,
        "features_per_class": {name: len(interpretation.selected(name)) for name in interpretation.classes},
        "max_relative_gap": float(interpretation.gaps.max()),
        "auc_iou": found.scores,
        "seconds": seconds,
        "versions": provenance.versions(),
        "model_sha256": interpretation.provenance["settings"]["model"]["sha256"],
        "data_sha256": dataset["sha256"],
        "seed": dataset["seed"],
    }
    write_json(out / "summary.json", summary)
    return summary


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 2)
