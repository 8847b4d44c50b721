"""Explanations of files, written as pictures and raw arrays beside a JSON file that says the same in words."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vebi import provenance
from vebi.data.folders import gather
from vebi.errors import RunError
from vebi.explanation.explain import explanations
from vebi.explanation.result import Explanation
from vebi.files import make_folder, write_json
from vebi.interpretation.result import Interpretation
from vebi.reports.figure import figure

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
    """Explains files and folders of files into ``out``: for each a picture and its raw arrays (``arrays``), and
    ``explanations.json``, whose explanations are returned.

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
            figure(explanation, interpretation).save(out / f"{name}.png")
            np.savez_compressed(out / f"{name}.npz", **arrays(explanation))
            rows.append(in_words(explanation) | {"figure": f"{name}.png", "arrays": f"{name}.npz"})
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
        rows = json.loads((out / CONTENTS).read_text())["explanations"]
        earlier = [name for row in rows for name in (row["figure"], row.get("arrays", row["figure"]))]
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


def arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    """``picture`` h x w x 3 uint8; ``heatmaps`` k x h x w float32, raw; their ``features`` (text) and
    ``contributions``; ``combined`` h x w, scaled to [0, 1]."""
    height, width = explanation.picture.shape[:2]
    maps = [e.heatmap for e in explanation.evidence]
    return {
        "picture": explanation.picture,
        "heatmaps": np.stack(maps) if maps else np.zeros((0, height, width), np.float32),
        "features": np.array([str(e.feature) for e in explanation.evidence], dtype=str),
        "contributions": np.array([e.contribution for e in explanation.evidence], dtype=np.float64),
        "combined": explanation.combined(),
    }


def in_words(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its pictures."""
    return {
        "image": explanation.image_id,
        "prediction": explanation.prediction,
        "probability": explanation.probability,
        "target": explanation.target,
        "evidence": [{"feature": str(e.feature), "contribution": e.contribution} for e in explanation.evidence],
        "uncovered": [str(finding) for finding in explanation.audit if not finding.covered],
    }


def _free_name(stem: str, taken: set[str]) -> str:
    """A file name, without its suffix, that no other picture of this gallery has."""
    name, k = stem, 2
    while name in taken:
        name, k = f"{stem}-{k}", k + 1
    taken.add(name)
    return name
