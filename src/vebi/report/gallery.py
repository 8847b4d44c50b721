"""Explanations of files, written as pictures beside a JSON file that says the same in words."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vebi import provenance
from vebi.errors import RunError
from vebi.explanation import Explanation, explanations
from vebi.images import gather
from vebi.interpretation import Interpretation
from vebi.report.figure import figure
from vebi.runs import make_folder
from vebi.storage import write_json

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

    ``options`` are those of ``explanations``. A figure is written as soon as it is made; those of an earlier call are
    removed. A file that cannot be decoded is skipped with a warning unless ``strict``; where nothing is left that is an
    ImageError. RunError where ``out`` holds files that are no gallery, or any of the pictures themselves.
    """
    paths = gather(images)
    _clear(out, paths)
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    try:
        for explanation in explanations(interpretation, paths, strict=strict, progress=progress, **options):
            if not rows:
                _write(out, [], interpretation, options)  # from the first picture on the folder is a gallery
            name = _free_name(Path(explanation.image_id).stem, taken)
            figure(explanation, interpretation).save(out / name)
            rows.append(in_words(explanation) | {"figure": name})
    finally:  # what was explained before an error or an interruption is kept
        if rows:
            _write(out, rows, interpretation, options)
    return rows


def _clear(out: Path, paths: list[Path]) -> None:
    """Makes ``out`` a folder without an earlier gallery. RunError where it holds anything else."""
    make_folder(out)
    inside = next((path for path in paths if path.resolve().is_relative_to(out.resolve())), None)
    if inside is not None:
        raise RunError(f"{out} is where the explanations go, but {inside} lies in it: choose another folder")
    if not any(out.iterdir()):
        return
    try:
        earlier = [row["figure"] for row in json.loads((out / CONTENTS).read_text())["explanations"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{out} holds other files and no explanations: choose an empty or a new folder") from None
    for name in earlier:
        (out / Path(name).name).unlink(missing_ok=True)


def _write(out: Path, rows: list[dict[str, Any]], interpretation: Interpretation, options: dict[str, Any]) -> None:
    content = {"provenance": _provenance(interpretation, options), "explanations": rows}
    write_json(out / CONTENTS, content)


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
