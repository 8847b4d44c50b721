"""Files, folders and data sets -> indexed batches, with one decoding policy for the whole program.

The policy: EXIF rotation is applied; grey, palette, CMYK and 16-bit pictures become 8-bit RGB (or grey, for a network
with one colour); transparency is laid on white; nothing above ``MAX_PIXELS`` is decoded; what cannot be decoded in full
is an ``ImageError``, never half a picture.
"""

import hashlib
import io
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image, ImageOps

from vebi.errors import ImageError, InputError, UsageError, VebiWarning

MAX_PIXELS = 89_478_485  # as Pillow: a quarter of a gigabyte of RGB
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}
#: What Pillow may try on a file; some of its other decoders start programs (EPS).
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
UNKNOWN = -1


# --- decoding -------------------------------------------------------------------------------------------------------


def decode(path: str | os.PathLike) -> Image.Image:
    """The picture in a file as an 8-bit RGB image, upright. Raises ImageError with the file and the reason."""
    return decode_bytes(read(path), str(path))


def read(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: give the path of a picture") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}): give the path of a picture") from None


def decode_bytes(data: bytes, name: str) -> Image.Image:
    """As ``decode``, of the bytes of a file; ``name`` is used in messages."""
    with _image_errors(name), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return _upright_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """As ``decode``, of a Pillow image in any mode, opened from a file or not."""
    with _image_errors(name):
        return _upright_rgb(image, name)


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name} claims more pixels than the {MAX_PIXELS:,} that vebi decodes: scale it down first"
        ) from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture that can be decoded: give a PNG, JPEG or similar file") from None
    except Exception as error:  # decoders raise almost anything on damaged files: OSError, SyntaxError, struct.error
        raise ImageError(f"{name} is damaged or truncated ({error}): replace the file") from None


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width} x {image.height} pixels, but 1 to {MAX_PIXELS:,} can be decoded: scale it first"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image, name)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        return flat.convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image.Image, name: str) -> Image.Image:
    """16-bit greys (integers up to 65535) or floats in [0, 1] as RGB."""
    values = np.asarray(image)
    top = 65535 if values.dtype.kind in "iu" else 1
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(f"{name} has grey values outside 0 to {top}: convert it to 8 or 16 bits a pixel")
    values = np.where(values == image.info.get("transparency"), top, values)
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8)).convert("RGB")


# --- collections ----------------------------------------------------------------------------------------------------


@runtime_checkable
class Images(Protocol):
    """A sized, indexable collection of labelled pictures.

    ``ids`` name the pictures; ``load`` gives a picture (or the ready network input where a data set yields float
    tensors) and its class index, ``UNKNOWN`` where there is none; ``class_names`` are those the labels index.
    """

    ids: Sequence[str]
    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def load(self, index: int) -> tuple[Image.Image | torch.Tensor, int]: ...

    def fingerprint(self) -> str:
        """A hash of what the collection holds, cheap enough to be made at every start."""


@dataclass(frozen=True)
class Files:
    """Pictures in files."""

    paths: Sequence[Path]
    ids: Sequence[str]
    labels: Sequence[int]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> tuple[Image.Image, int]:
        return decode(self.paths[index]), self.labels[index]

    def fingerprint(self) -> str:
        """Of the names below their common folder and the sizes: it stays the same where the whole tree moves."""
        digest = hashlib.sha256()
        root = os.path.commonpath([path.parent.absolute() for path in self.paths])
        for path in self.paths:
            size = path.stat().st_size if path.is_file() else "missing"
            place = os.fsencode(path.absolute().relative_to(root).as_posix())  # a name need not be UTF-8
            digest.update(place + f"\0{size}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet:
    """Any sized, indexable collection of (image, label): a torch ``Dataset``, a list of pairs.

    An image is a path, a Pillow image, an H x W (x 3) uint8 array, or a C x H x W float tensor that is ready for the
    network. A label is a class index or a class name. Items are fetched one at a time, since a data set need not
    bear threads.
    """

    items: Any
    class_names: tuple[str, ...]
    _lock: Any = field(default_factory=Lock, init=False, repr=False, compare=False)

    @cached_property
    def ids(self) -> Sequence[str]:
        return [str(i) for i in range(len(self.items))]

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> tuple[Image.Image | torch.Tensor, int]:
        with self._lock:
            item = self.items[index]
        try:
            image, label = item
        except (TypeError, ValueError):
            raise InputError(
                f"item {index} of the data set is a {type(item).__name__} and no (image, label) pair: "
                f"give a data set that yields pairs"
            ) from None
        return as_image(image, f"item {index}"), self._label(label, index)

    def _label(self, label: Any, index: int) -> int:
        if isinstance(label, str):
            return _class_index(label, self.class_names)
        try:
            number = operator.index(label)
        except TypeError:
            raise InputError(
                f"item {index} has the label {label!r}, but a class index or a class name is needed"
            ) from None
        if number < 0 or (self.class_names and number >= len(self.class_names)):
            last = len(self.class_names) - 1 if self.class_names else "..."
            raise InputError(f"item {index} has the label {number}, but the model's classes are 0 to {last}")
        return number

    def fingerprint(self) -> str:
        """Of the length and of up to 16 evenly spread items: reading all of them would cost a pass of its own."""
        digest = hashlib.sha256(str(len(self)).encode())
        for i in np.linspace(0, len(self) - 1, min(16, len(self))).astype(int):
            try:
                image, label = self.load(int(i))
                digest.update(f"{label}".encode() + np.ascontiguousarray(image).tobytes())
            except ImageError as error:
                digest.update(str(error).encode())
        return digest.hexdigest()


def as_image(image: Any, name: str) -> Image.Image | torch.Tensor:
    """What a data set yields, as an RGB image or as a float tensor left as it is."""
    if isinstance(image, str | os.PathLike):
        return decode(image)
    if isinstance(image, Image.Image):
        return to_rgb(image, name)
    if isinstance(image, torch.Tensor) and image.is_floating_point() and image.ndim == 3:
        return image.detach().cpu()
    array = image.numpy(force=True) if isinstance(image, torch.Tensor) else image
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name} is a {type(image).__name__}: give a path, a Pillow image, an array or a tensor")
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) and array.size:
        return Image.fromarray(array).convert("RGB")
    raise ImageError(
        f"{name} has the shape {array.shape} and the type {array.dtype}: "
        f"give an H x W x 3 uint8 array or a C x H x W float tensor"
    )


def open_images(data: Any, class_names: tuple[str, ...] | None = None) -> Images:
    """A class-per-folder tree, a folder of pictures, one picture, a list of paths or a data set, as ``Images``.

    ``class_names`` are the model's: folders are matched to them by name. Where the model has none, those of the
    folders are taken in sorted order. Raises InputError where there is nothing to read or the names do not match.
    """
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if not path.exists():
            raise InputError(f"{path} does not exist: give a folder with one folder of pictures for each class")
        return _from_folder(path, class_names) if path.is_dir() else _from_paths([path], class_names)
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise UsageError(
            f"data is a {type(data).__name__}: give a folder, a list of paths or a data set with len() and indexing"
        )
    if len(data) == 0:
        raise InputError("the data set is empty: give at least one picture")
    if isinstance(data, Sequence) and isinstance(data[0], str | os.PathLike):
        return _from_paths([Path(p) for p in data], class_names)
    return DataSet(data, class_names or ())


def _from_folder(root: Path, class_names: tuple[str, ...] | None) -> Files:
    if (root / "images").is_dir() and (root / "masks").is_dir():
        root = root / "images"  # a data set with ground truth keeps its pictures beside its masks
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        paths = _pictures(root)
        if not paths:
            raise InputError(f"{root} holds no pictures: give a folder with one folder of pictures for each class")
        return Files(paths, [p.relative_to(root).as_posix() for p in paths], [UNKNOWN] * len(paths), class_names or ())
    found = [(folder.name, _pictures(folder)) for folder in folders]
    filled = [name for name, paths in found if paths]
    loose = sum(p.is_file() and p.suffix.lower() in SUFFIXES for p in root.iterdir())
    if not filled:
        raise InputError(f"the folders in {root} hold no pictures: put the pictures of each class into its folder")
    if len(filled) < 2:
        raise InputError(f"{root} holds pictures of one class only ({filled[0]}): at least two classes are needed")
    if loose:
        warnings.warn(
            f"{loose} pictures lie beside the class folders in {root} and are left out", VebiWarning, stacklevel=3
        )
    names = class_names or tuple(filled)
    paths = [path for _, group in found for path in group]
    labels = [_class_index(name, names) for name, group in found for _ in group]
    return Files(paths, [p.relative_to(root).as_posix() for p in paths], labels, names)


def _from_paths(paths: list[Path], class_names: tuple[str, ...] | None) -> Files:
    """Single files; a file in a folder named as a class has that class as its label."""
    index = {name: i for i, name in enumerate(class_names or ())}
    return Files(paths, [str(p) for p in paths], [index.get(p.parent.name, UNKNOWN) for p in paths], class_names or ())


def _pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, but none that are hidden or lie in a hidden folder."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and p.is_file()
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )


def _class_index(name: str, class_names: tuple[str, ...]) -> int:
    if name not in class_names:
        held = ", ".join(class_names[:12]) + (", ..." if len(class_names) > 12 else "")
        raise InputError(
            f"there is a class {name!r} in the data, but the model's classes "
            + (f"are {held}: name the data's classes as the model does" if held else "have no names: give them")
        )
    return class_names.index(name)


def gather(places: Sequence[str | os.PathLike]) -> list[Path]:
    """The files among ``places`` and all pictures below the folders among them, in order."""
    found: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise InputError(f"{place} does not exist: give pictures or folders of pictures")
        pictures = _pictures(place) if place.is_dir() else [place]
        if not pictures:
            raise InputError(f"{place} holds no pictures: give pictures or folders of pictures")
        found += pictures
    return found


# --- batches --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """``inputs`` N x C x H x W float32, ready for the network, of the pictures ``indices`` of a collection.

    ``skipped`` lists (id, reason) of pictures that were asked for but cannot be decoded.
    """

    indices: list[int]
    inputs: torch.Tensor
    labels: list[int]
    skipped: list[tuple[str, str]]


def batches(
    images: Images,
    indices: Sequence[int],
    prepare: Callable[[Any, str], torch.Tensor],
    batch_size: int,
    *,
    strict: bool = False,
) -> Iterator[Batch]:
    """Batches of ``batch_size`` in the order of ``indices``, decoded ahead on threads, at most two batches at a time.

    ``prepare`` turns a loaded picture and its id into a C x H x W float tensor. With ``strict`` the first picture that
    cannot be decoded is raised as an ImageError.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}, but at least one picture must pass at a time")

    def load(index: int) -> tuple[torch.Tensor, int] | ImageError:
        try:
            image, label = images.load(index)
            return prepare(image, images.ids[index]), label
        except ImageError as error:
            return error

    groups = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        ahead = [[pool.submit(load, i) for i in group] for group in groups[:1]]
        try:
            for k, group in enumerate(groups):
                if k + 1 < len(groups):
                    ahead.append([pool.submit(load, i) for i in groups[k + 1]])
                yield _batch(images, group, [future.result() for future in ahead.pop(0)], strict)
        finally:  # a consumer that stops early does not wait for pictures that nobody wants
            for future in (f for group in ahead for f in group):
                future.cancel()


def _batch(images: Images, indices: Sequence[int], loaded: list, strict: bool) -> Batch:
    failed = [(images.ids[i], str(x)) for i, x in zip(indices, loaded, strict=True) if isinstance(x, ImageError)]
    if failed and strict:
        raise ImageError(failed[0][1])
    good = [(i, *x) for i, x in zip(indices, loaded, strict=True) if not isinstance(x, ImageError)]
    inputs = torch.stack([x for _, x, _ in good]) if good else torch.empty(0)
    return Batch([i for i, _, _ in good], inputs, [label for _, _, label in good], failed)


def report_skipped(skipped: Sequence[tuple[str, str]], total: int) -> None:
    """Says how many pictures were left out, and names the first of them."""
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {total} pictures could not be decoded and were skipped, first: {skipped[0][1]}",
            VebiWarning,
            stacklevel=2,
        )
