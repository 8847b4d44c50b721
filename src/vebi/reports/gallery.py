"""Explanations of files, written as figures and raw arrays beside a JSON file that lists them."""

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vebi import provenance
from vebi.data.folders import expand_paths
from vebi.errors import RunError, as_path, require_function
from vebi.explanation.explain import explain_each
from vebi.explanation.recipe import Recipe
from vebi.explanation.result import Explanation
from vebi.files import parse_json, read_file, write_json
from vebi.interpretation.result import Interpretation
from vebi.outputs import file_stem, other_files, output_folder, same_name
from vebi.progress import Progress
from vebi.reports.figure import explanation_figure

CONTENTS = "explanations.json"
#: From an explanation to the maps of other methods for its image and class, h x w, by their titles.
OtherMaps = Callable[[Explanation], dict[str, Float[np.ndarray, "h w"]]]


def write_gallery(
    interpretation: Interpretation,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    target: str | None = None,
    max_features: int = 3,
    recipe: Recipe = Recipe(),
    others: OtherMaps | None = None,
    batch_size: int = 32,
    strict: bool = False,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Explains files and folders of files into a folder: a figure and the raw arrays of each, and a list of all.

    The same as `vebi explain`. A figure is written as soon as it is made; those of an earlier call are removed.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        images: Paths of images, or of folders of images; or one of them.
        out: The folder; it gets NAME.png, NAME.npz (see ``arrays``; with maps of other methods also ``methods``, their
            titles, and ``method_maps``, raw) and explanations.json.
        target: The class to explain, by name; by default the predicted one of each image.
        max_features: Heatmaps per image, at most.
        recipe: See ``explain``.
        others: Makes maps of other methods, which are shown beside the combined one.
        batch_size: Images per forward pass.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning.
        progress: Called with (images done, images).

    Returns:
        The explanations as they stand in explanations.json.

    Raises:
        UsageError: An option that cannot be.
        InputError: One of the images does not exist.
        ImageError: None of the images can be decoded; with ``strict``: one of them cannot.
        RunError: The folder holds files that are no gallery, or some of the images, or another process writes into it.

    Example:
        >>> rows = vebi.write_gallery(interpretation, ["images/red/00.png"], "explained")
        >>> rows[0]["figure"]
        '00.png'
    """
    out, paths = as_path("out", out, "the path of a folder is needed"), expand_paths(images)
    require_function("others", others, "a function from an explanation to maps of other methods, or None, is needed")
    options: dict[str, Any] = {"target": target, "max_features": max_features, "batch_size": batch_size}
    # the options are checked here, before an earlier gallery is cleared; nothing is computed before the first image
    stream = explain_each(interpretation, paths, recipe=recipe, strict=strict, progress=progress, **options)
    options["recipe"] = asdict(recipe)
    with output_folder(out):
        _clear(out, paths)
        return _write_explanations(out, stream, interpretation, options, others)


def arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    """The arrays of an explanation as its .npz file holds them.

    Returns:
        ``image`` h x w x 3 uint8; ``heatmaps`` k x h x w float32, raw; ``features`` k names; ``contributions`` k
        float64; ``combined`` h x w, scaled to [0, 1].
    """
    height, width = explanation.image.shape[:2]
    maps = [e.heatmap for e in explanation.evidence]
    return {
        "image": explanation.image,
        "heatmaps": np.stack(maps) if maps else np.zeros((0, height, width), np.float32),
        "features": np.array([str(e.feature) for e in explanation.evidence], dtype=str),
        "contributions": np.array([e.contribution for e in explanation.evidence], dtype=np.float64),
        "combined": explanation.combined_map(),
    }


def _write_explanations(
    out: Path,
    stream: Iterator[Explanation],
    interpretation: Interpretation,
    options: dict[str, Any],
    others: OtherMaps | None,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    try:
        for explanation in stream:
            if not rows:
                _write_contents(out, [], interpretation, options)  # from the first image on the folder is a gallery
            name = file_stem(Path(explanation.image_id).stem, names)
            names.add(same_name(name))
            maps = others(explanation) if others else {}
            rows.append(_write_explanation(out, name, explanation, interpretation, maps))
    finally:  # what was explained before an error or an interruption is kept
        if rows:
            _write_contents(out, rows, interpretation, options)
    return rows


def _clear(out: Path, paths: list[Path]) -> None:
    """Removes an earlier gallery from a folder. RunError where it holds anything else."""
    inside = next((path for path in paths if path.resolve().is_relative_to(out.resolve())), None)
    if inside is not None:
        raise RunError(f"{out} is where the explanations go, but {inside} lies in it: choose another folder")
    if not other_files(out):
        return
    try:
        rows = parse_json(read_file(out / CONTENTS))["explanations"]
        # the first galleries had no arrays
        earlier = {Path(name).name for row in rows for name in (row["figure"], row.get("arrays", row["figure"]))}
        for name in earlier:
            _check_no_folder(out / name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{out} holds other files and no explanations: choose an empty or a new folder") from None
    for name in earlier:
        (out / name).unlink(missing_ok=True)


def _check_no_folder(path: Path) -> None:
    """Raises OSError where a path is a folder, or cannot be looked at, and ValueError where it can be none at all."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):  # as "." and ".." are
            raise IsADirectoryError


def _write_explanation(
    out: Path,
    name: str,
    explanation: Explanation,
    interpretation: Interpretation,
    maps: dict[str, Float[np.ndarray, "h w"]],
) -> dict[str, Any]:
    """Writes the figure and the arrays; returns the row of the explanation."""
    explanation_figure(explanation, interpretation, maps).save(out / f"{name}.png")
    stored: dict[str, Any] = arrays(explanation)
    if maps:
        stored |= {"methods": np.array(list(maps), dtype=str), "method_maps": np.stack(list(maps.values()))}
    np.savez_compressed(out / f"{name}.npz", **stored)
    row = explanation.to_dict() | {"figure": f"{name}.png", "arrays": f"{name}.npz"}
    return row | {"methods": list(maps)} if maps else row


def _write_contents(
    out: Path, rows: list[dict[str, Any]], interpretation: Interpretation, options: dict[str, Any]
) -> None:
    write_json(out / CONTENTS, {"provenance": _provenance(interpretation, options), "explanations": rows})


def _provenance(interpretation: Interpretation, options: dict[str, Any]) -> dict[str, Any]:
    """What the explanations were made with, the run included."""
    return {
        "created": provenance.now(),
        "versions": provenance.versions(),
        "options": options,
        "model_sha256": interpretation.settings.model.sha256,
        "data_sha256": interpretation.settings.data.sha256,
        "mu": interpretation.mu,
        "features_per_class": interpretation.settings.features_per_class,
    }
