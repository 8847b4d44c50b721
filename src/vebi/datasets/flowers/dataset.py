"""The data set on disk: which images it has, rendering them, resuming after a break, reading it back.

A folder holds ``images/<class>/class{c}_img{n}_p{p}_r{r}.png``, masks of the same names under ``masks/``,
``dataset.json`` and a data card. Until it is complete, ``dataset.partial.json`` takes the place of ``dataset.json``.
"""

import hashlib
import io
import operator
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vebi.data.folders import RECORDS
from vebi.datasets.flowers.background import BACKGROUNDS
from vebi.datasets.flowers.card import NAME, describe, read_me
from vebi.datasets.flowers.image_ids import IMAGES_PER_CLASS, ImageId, file_name, image_ids
from vebi.datasets.flowers.meadow import MeadowFrame
from vebi.datasets.flowers.plain import PlainFrame
from vebi.datasets.flowers.scene import parts_of
from vebi.datasets.flowers.variants import PAPER_VARIANTS, VARIANTS, FlowerClass, classes
from vebi.errors import InputError, UsageError
from vebi.files import atomic_write, parse_json, read_file, write_json
from vebi.outputs import other_files, output_folder
from vebi.progress import Progress

SCENES = ("plain", "meadow")
SETTINGS = ("variant", "images_per_class", "size", "seed", "background", "scene")

#: Settings that data sets of earlier versions do not name.
DEFAULTS = {"scene": "plain"}

_PALETTE = [
    (28, 30, 38),
    (233, 94, 108),
    (245, 200, 76),
    (120, 160, 90),
    (38, 142, 110),
    (150, 92, 60),
]  # by the labels in MEADOW_PARTS
(_RECORD, _PARTIAL), _CARD = RECORDS, "README.md"


def generate(
    out: str | Path,
    *,
    variant: str = "single-6c",
    images_per_class: int = 1000,
    size: int = 112,
    seed: int = 0,
    background: str = "plain",
    scene: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Renders a data set of flowers into a folder: the same as `vebi flowers`.

    Images that the folder holds already are kept: a complete data set returns at once, an unfinished one is resumed.
    Equal settings give equal bytes. Needs Mitsuba, unless nothing is left to render.

    Args:
        out: The folder: new, empty, or a data set with the same settings.
        variant: ``single-6c`` (the colour of the petals is the class), ``double-12c`` (the colour, and the part that
            has it, petals or leaves) or ``shape-6c`` (the form of the petals, of any colour).
        images_per_class: 1 to 1000; 1000 is the full protocol.
        size: Side of an image in pixels, 16 to 1024.
        seed: Seed of placements and backgrounds, at least 0.
        background: What is behind the flower in the plain scene: ``plain``, ``noise`` or ``gradient``.
        scene: ``plain``, the flower alone as in the paper, or ``meadow``: in a pot among grass, stones, blossoms and
            butterflies of the same colours, so that image processing alone hardly finds the part that makes the
            class. By default ``plain``,
            but ``meadow`` for shape-6c, which has no other.
        progress: Called with (images done, images).

    Returns:
        The content of its dataset.json.

    Raises:
        UsageError: An option is out of range.
        InputError: The folder holds something else, or a data set with other settings, or another process writes it.
        MissingExtraError: Mitsuba is not installed.

    Reference:
        Oramas, Wang and Tuytelaars, Visual explanation by interpretation, ICLR 2019: the protocol.

    Example:
        >>> record = vebi.datasets.flowers.generate("flowers", images_per_class=1, size=32)
        >>> [c["name"] for c in record["classes"]]
        ['red', 'orange', 'yellow', 'blue', 'violet', 'pink']
    """
    out = Path(out)
    settings = _check_settings(variant, images_per_class, size, seed, background, scene)
    with output_folder(out):
        _open_folder(out, settings)
        missing, done = _missing_images(out, settings)
        total = len(classes(variant)) * settings["images_per_class"]
        if progress:
            progress(done, total)
        if done == total and (out / _RECORD).exists() and (out / _CARD).exists():
            return load_dataset(out)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for n, images in missing.items():
                frame = _make_frame(n, settings)
                jobs = [pool.submit(_write_class, out, settings, frame, c, ids) for c, ids in images.items()]
                for job in as_completed(jobs):
                    done += job.result()
                    if progress:
                        progress(done, total)

        record = describe(settings) | {"sha256": _checksum(out, settings)}
        _write(out / _CARD, read_me(record).encode())
        write_json(out / _RECORD, record)
        (out / _PARTIAL).unlink(missing_ok=True)
        return record


def load_dataset(path: str | Path) -> dict[str, Any]:
    """Reads the dataset.json of a data set, and checks the entries that readers rely on.

    Args:
        path: The folder of the data set.

    Returns:
        The content of its dataset.json.

    Raises:
        InputError: The file is missing, damaged or of another kind.

    Example:
        >>> record = vebi.datasets.flowers.generate("flowers", images_per_class=1, size=32)
        >>> vebi.datasets.flowers.load_dataset("flowers") == record
        True
    """
    record = DEFAULTS | _read_record(Path(path) / _RECORD)
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


def _make_frame(n: int, settings: dict[str, Any]) -> PlainFrame | MeadowFrame:
    """Renders a frame."""
    if settings["scene"] == "meadow":
        return MeadowFrame(n, settings["size"], classes(settings["variant"]))
    return PlainFrame(n, settings["size"], settings["background"])


def _write_class(
    out: Path, settings: dict[str, Any], frame: PlainFrame | MeadowFrame, c: int, ids: list[ImageId]
) -> int:
    """Writes the images and masks ``ids`` of class ``c``, all of one frame; returns how many."""
    flower_class = classes(settings["variant"])[c]
    paint = frame.painter(flower_class)
    for n, p, r in ids:
        entropy = [settings["seed"], list(VARIANTS).index(settings["variant"]), c, n, p, r]
        image, labels = paint(np.random.default_rng(np.random.SeedSequence(entropy)))
        mask = Image.fromarray(labels)
        mask.putpalette([value for rgb in _PALETTE[: len(parts_of(settings["scene"]))] for value in rgb])
        image_path, mask_path = _paths(out, flower_class, c, (n, p, r))
        _write(mask_path, _png(mask))
        _write(image_path, _png(Image.fromarray(image)))
    return len(ids)


def _paths(out: Path, flower_class: FlowerClass, c: int, image_id: ImageId) -> tuple[Path, Path]:
    """The files of an image and of its mask."""
    name = file_name(c, *image_id)
    return out / "images" / flower_class.name / name, out / "masks" / flower_class.name / name


def _missing_images(out: Path, settings: dict[str, Any]) -> tuple[dict[int, dict[int, list[ImageId]]], int]:
    """The images still to be rendered, as frame -> class -> ids, and the number of those that exist."""
    missing: dict[int, dict[int, list[ImageId]]] = defaultdict(lambda: defaultdict(list))
    done = 0
    for c, flower_class in enumerate(classes(settings["variant"])):
        folders = [out / kind / flower_class.name for kind in ("images", "masks")]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        images, masks = ({path.name for path in folder.iterdir()} for folder in folders)
        for n, p, r in image_ids(settings["images_per_class"]):
            if file_name(c, n, p, r) in images & masks:
                done += 1
            else:
                missing[n][c].append((n, p, r))
    return dict(sorted(missing.items())), done


def _open_folder(out: Path, settings: dict[str, Any]) -> None:
    """Begins or resumes a data set in a folder. InputError where it holds anything else, or other settings."""
    path = next((out / name for name in (_RECORD, _PARTIAL) if (out / name).exists()), None)
    if path:
        stored = _read_record(path)
        for key in SETTINGS:
            value = stored.get(key, DEFAULTS.get(key))
            if value != settings[key]:
                raise InputError(
                    f"{out} holds a data set with {key} {value}, not {settings[key]}: "
                    f"choose another folder, or ask for {key} {value}"
                )
    elif other_files(out):
        raise InputError(f"{out} is not empty and holds no data set of vebi: choose a new or empty folder")
    else:
        write_json(out / _PARTIAL, {"name": NAME} | settings)


def _check_settings(
    variant: str, images_per_class: int, size: int, seed: int, background: str, scene: str | None
) -> dict[str, Any]:
    """The settings as they are stored. UsageError for one that is out of range."""
    classes(variant)  # raises for an unknown variant
    if scene is None:
        scene = "plain" if variant in PAPER_VARIANTS else "meadow"
    for name, value, known in (("background", background, BACKGROUNDS), ("scene", scene, SCENES)):
        if value not in known:
            raise UsageError(f"there is no {name} {value!r}: choose one of {', '.join(known)}")
    if scene == "plain" and variant not in PAPER_VARIANTS:
        raise UsageError(f"{variant} has no scene 'plain', which would give the form of the petals away: take meadow")
    if scene == "meadow" and background != "plain":
        raise UsageError(f"the scene 'meadow' has a ground of its own: leave the background {background!r} out")
    return {
        "variant": variant,
        "images_per_class": _check_integer("images_per_class", images_per_class, 1, IMAGES_PER_CLASS),
        "size": _check_integer("size", size, 16, 1024),
        "seed": _check_integer("seed", seed, 0, 2**63 - 1),
        "background": background,
        "scene": scene,
    }


def _check_integer(name: str, value: int, low: int, high: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(f"{name} is {value!r}, but must be a whole number from {low} to {high}")
    return number


def _checksum(out: Path, settings: dict[str, Any]) -> str:
    """SHA-256 over the bytes of every image and then its mask, class by class, in the order of ``image_ids``."""
    digest = hashlib.sha256()
    for c, flower_class in enumerate(classes(settings["variant"])):
        for image_id in image_ids(settings["images_per_class"]):
            for path in _paths(out, flower_class, c, image_id):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _read_record(path: Path) -> dict[str, Any]:
    """The content of dataset.json or of dataset.partial.json. InputError where it cannot be read."""
    try:
        content = parse_json(read_file(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {path.parent} is no finished data set, so generate it first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): choose another folder and generate again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: choose another folder and generate the data set again")
    return content


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(content)
