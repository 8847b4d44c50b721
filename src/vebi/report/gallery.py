"""Explanations of files, written as pictures beside a JSON file that says the same in words."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vebi import provenance
from vebi.errors import ImageError, RunError
from vebi.explanation import Explanation, explanations
from vebi.images import gather
from vebi.interpretation import Interpretation
from vebi.report.figure import figure
from vebi.runs import make_folder

CONTENTS = "explanations.json"


def write_gallery(
    interpretation: Interpretation,
    images: Sequence[Path],
    out: Path,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Explains files and folders of files into ``out``: a picture each, and ``explanations.json``, whose explanations
    are returned.

    ``options`` are those of ``explanations``. Each is written as soon as it is made. A file that cannot be decoded is
    skipped with a warning unless ``strict``; where nothing is left that is an ImageError. RunError where ``out`` holds
    files that are no gallery: they might be the pictures themselves.
    """
    paths = gather(images)
    make_folder(out)
    if any(out.iterdir()) and not (out / CONTENTS).exists():
        raise RunError(f"{out} holds other files and no explanations: choose an empty or a new folder")
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    try:
        for explanation in explanations(interpretation, paths, strict=strict, progress=progress, **options):
            (out / CONTENTS).touch()
            name = _free_name(Path(explanation.image_id).stem, taken)
            figure(explanation, interpretation).save(out / name)
            rows.append(in_words(explanation) | {"figure": name})
    finally:  # what was explained before an error or an interruption is kept
        if rows:
            content = {"provenance": _provenance(interpretation, options), "explanations": rows}
            (out / CONTENTS).write_text(json.dumps(content, indent=1) + "\n")
    if not rows:
        raise ImageError(f"none of the {len(paths)} files could be decoded, the first is {paths[0]}: give pictures")
    return rows


def _provenance(interpretation: Interpretation, options: dict[str, Any]) -> dict[str, Any]:
    """What the explanations were made with, the run included."""
    settings = interpretation.provenance["settings"]
    return {
        "created": provenance.now(),
        "versions": provenance.versions(),
        "options": options,
        "model_sha256": settings["model"]["sha256"],
        "data_sha256": settings["data"]["sha256"],
        "mu": interpretation.mu,
    }


def in_words(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its pictures."""
    return {
        "image": explanation.image_id,
        "prediction": explanation.prediction,
        "probability": explanation.probability,
        "target": explanation.target,
        "evidence": [{"feature": str(e.feature), "contribution": e.contribution} for e in explanation.evidence],
    }


def _free_name(stem: str, taken: set[str]) -> str:
    """A file name that no other picture of this gallery has."""
    name, k = f"{stem}.png", 2
    while name in taken:
        name, k = f"{stem}-{k}.png", k + 1
    taken.add(name)
    return name
