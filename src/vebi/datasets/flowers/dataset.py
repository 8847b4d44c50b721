"""The data set on disk: which images it has, making them, going on after a break, reading it back.

A folder holds ``images/<class>/class{c}_img{n}_p{p}_r{r}.png``, masks of the same names under ``masks/``,
``dataset.json`` and a data card. While it is being made, ``dataset.partial.json`` stands in for ``dataset.json``.
"""

import hashlib
import io
import json
import operator
import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from PIL import Image

from vebi.datasets.flowers import placement
from vebi.datasets.flowers.card import NAME, describe, read_me
from vebi.datasets.flowers.rendering import Shading, shade
from vebi.datasets.flowers.scene import FRAMES
from vebi.datasets.flowers.variants import VARIANTS, FlowerClass, classes
from vebi.errors import InputError, UsageError
from vebi.files import whole, write_json

POSITIONS = ROTATIONS = 5
IMAGES_PER_CLASS = FRAMES * POSITIONS * ROTATIONS
SETTINGS = ("variant", "images_per_class", "size", "seed", "background")

_PALETTE = [(28, 30, 38), (233, 94, 108), (245, 200, 76), (120, 160, 90), (38, 142, 110)]  # by the labels in PARTS
_RECORD, _PARTIAL, _CARD = "dataset.json", "dataset.partial.json", "README.md"


def generate(
    out: Path,
    *,
    variant: str = "single-6c",
    images_per_class: int = 1000,
    size: int = 112,
    seed: int = 0,
    background: str = "plain",
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Make the data set in the folder ``out`` and return the contents of its dataset.json.

    ``size`` is the side of an image in pixels; ``progress(done, total)`` is called now and then with numbers of images.
    What is there already is kept: a complete folder returns at once, an unfinished one is gone on with. Equal settings
    give equal bytes. Needs Mitsuba unless nothing is left to do.
    """
    out = Path(out)
    settings = _checked(variant, images_per_class, size, seed, background)
    _open(out, settings)
    todo, done = _missing(out, settings)
    total = len(classes(variant)) * settings["images_per_class"]
    if progress:
        progress(done, total)
    if done == total and (out / _RECORD).exists() and (out / _CARD).exists():
        return load_dataset(out)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for frame, images in todo.items():
            shading = shade(frame, placement.OVERSAMPLING * settings["size"])
            outline = placement.outline(shading.stack[-1])
            jobs = [pool.submit(_write_class, out, settings, shading, outline, c, ids) for c, ids in images.items()]
            for job in as_completed(jobs):
                done += job.result()
                if progress:
                    progress(done, total)

    record = describe(settings) | {"sha256": _checksum(out, settings)}
    _replace(out / _CARD, read_me(record).encode())
    write_json(out / _RECORD, record)
    (out / _PARTIAL).unlink(missing_ok=True)
    return record


def load_dataset(path: Path) -> dict:
    """The contents of dataset.json in the folder ``path``, checked for the entries that readers rely on."""
    record = _read(Path(path) / _RECORD)
    try:
        sound = (
            [entry["name"] for entry in record["classes"]] == [c.name for c in classes(record["variant"])]
            and record["classes"] == describe(record)["classes"]
            and record["parts"].keys() == describe(record)["parts"].keys()
            and 1 <= record["images_per_class"] <= IMAGES_PER_CLASS
            and all(key in record for key in (*SETTINGS, "sha256"))
        )
    except (KeyError, TypeError, AttributeError, UsageError):
        sound = False
    if not sound:
        raise InputError(f"{Path(path) / _RECORD} is damaged or of another kind: generate the data set again")
    return record


def image_ids(count: int) -> list[tuple[int, int, int]]:
    """The first ``count`` images of a class as (n, p, r): frame, position, rotation.

    The order is fixed, so small sets are part of large ones. Forty consecutive images show every frame once, spread as
    evenly as can be from the first on; rotations take turns, so the five folds are alike; positions come last.
    """
    ids = []
    for i in range(count):
        block, step = divmod(i, FRAMES)
        ids.append((step * 11 % FRAMES, block // ROTATIONS, (step + block) % ROTATIONS))
    return ids


def file_name(c: int, n: int, p: int, r: int) -> str:
    """The name of an image and of its mask: class index, frame, position, rotation."""
    return f"class{c}_img{n}_p{p}_r{r}.png"


def _write_class(
    out: Path, settings: dict, shading: Shading, outline: np.ndarray, c: int, ids: list[tuple[int, int, int]]
) -> int:
    """Write the images and masks ``ids`` of class ``c``, all of one frame; returns how many."""
    flower_class = classes(settings["variant"])[c]
    picture = placement.colour(shading, flower_class)
    for n, p, r in ids:
        entropy = [settings["seed"], list(VARIANTS).index(settings["variant"]), c, n, p, r]
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        where = placement.draw_placement(rng, outline)
        behind = placement.draw_background(rng, settings["background"], settings["size"])
        image, labels = placement.compose(picture, shading.labels, where, behind)
        mask = Image.fromarray(labels)
        mask.putpalette([value for rgb in _PALETTE for value in rgb])
        image_path, mask_path = _pair(out, flower_class, c, n, p, r)
        _replace(mask_path, _png(mask))
        _replace(image_path, _png(Image.fromarray(image)))
    return len(ids)


def _pair(out: Path, flower_class: FlowerClass, c: int, n: int, p: int, r: int) -> tuple[Path, Path]:
    name = file_name(c, n, p, r)
    return out / "images" / flower_class.name / name, out / "masks" / flower_class.name / name


def _missing(out: Path, settings: dict) -> tuple[dict[int, dict[int, list[tuple[int, int, int]]]], int]:
    """What is still to be made, as frame -> class -> ids, and how many images are there already."""
    todo = defaultdict(lambda: defaultdict(list))
    done = 0
    for c, flower_class in enumerate(classes(settings["variant"])):
        folders = [out / kind / flower_class.name for kind in ("images", "masks")]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        there = set(os.listdir(folders[0])) & set(os.listdir(folders[1]))
        for n, p, r in image_ids(settings["images_per_class"]):
            if file_name(c, n, p, r) in there:
                done += 1
            else:
                todo[n][c].append((n, p, r))
    return dict(sorted(todo.items())), done


def _open(out: Path, settings: dict) -> None:
    """Make the folder ours, or find that it is ours already; refuse any other."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: choose a folder for the data set")
    found = next((out / name for name in (_RECORD, _PARTIAL) if (out / name).exists()), None)
    if found:
        held = _read(found)
        for key in SETTINGS:
            if held.get(key) != settings[key]:
                raise InputError(
                    f"{out} holds a data set with {key} {held.get(key)}, not {settings[key]}: "
                    f"choose another folder, or ask for {key} {held.get(key)}"
                )
    elif out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no data set of vebi: choose a new or empty folder")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / _PARTIAL, {"name": NAME} | settings)


def _checked(variant: str, images_per_class: int, size: int, seed: int, background: str) -> dict:
    classes(variant)
    if background not in placement.BACKGROUNDS:
        raise UsageError(f"there is no background {background!r}: choose one of {', '.join(placement.BACKGROUNDS)}")
    return {
        "variant": variant,
        "images_per_class": _whole("images_per_class", images_per_class, 1, IMAGES_PER_CLASS),
        "size": _whole("size", size, 16, 1024),
        "seed": _whole("seed", seed, 0, 2**63 - 1),
        "background": background,
    }


def _whole(name: str, value: int, low: int, high: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(f"{name} is {value!r}, but must be a whole number from {low} to {high}")
    return number


def _checksum(out: Path, settings: dict) -> str:
    """SHA-256 over the bytes of every image and then its mask, class by class, in the order of ``image_ids``."""
    digest = hashlib.sha256()
    for c, flower_class in enumerate(classes(settings["variant"])):
        for n, p, r in image_ids(settings["images_per_class"]):
            for path in _pair(out, flower_class, c, n, p, r):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _read(path: Path) -> dict:
    """A JSON object from a file of the data set."""
    try:
        contents = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {path.parent} is no finished data set, so generate it first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): choose another folder and generate again") from None
    if not isinstance(contents, dict):
        raise InputError(f"{path} is damaged: choose another folder and generate the data set again")
    return contents


def _replace(path: Path, contents: bytes) -> None:
    """Write a file whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(contents)
