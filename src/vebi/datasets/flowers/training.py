"""Training of the reference network on a data set, with one fold held out; it can be stopped and resumed."""

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vebi import provenance
from vebi.data.collections import ImageCollection
from vebi.data.loader import batches, report_skipped
from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError
from vebi.files import atomic_write
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note, save_checkpoint
from vebi.progress import Progress

FOLDS = 5
BATCH = 64
RATE = 2e-3


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        accuracy: On the held-out images, in [0, 1].
        images: The number of training images.
        held_out: The number of held-out images.
        epochs: Passes over the training images.
        classes: The class names in the order of the network's outputs.
        seconds: How long it took.
    """

    accuracy: float
    images: int
    held_out: int
    epochs: int
    classes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class _LabelledPixels:
    """Images in memory: ``pixels`` N x H x W x 3 uint8, a quarter of what float inputs need, and N ``labels``."""

    pixels: Tensor
    labels: Tensor
    preprocess: Preprocess

    def inputs(self, indices: Tensor | slice) -> Tensor:
        """The network's inputs of some images, N x 3 x H x W; channels last in memory, which is fast."""
        mean, std = torch.tensor(self.preprocess.mean), torch.tensor(self.preprocess.std)
        return ((self.pixels[indices].float() / 255 - mean) / std).permute(0, 3, 1, 2)


def fold_of(image_id: str, index: int) -> int:
    """The fold of an image: its r where its name has one (``..._r3.png``), else its index modulo 5."""
    match = re.search(r"_r([0-4])\.\w+$", image_id)
    return int(match[1]) if match else index % FOLDS


def split(images: ImageCollection, fold: int) -> tuple[list[int], list[int]]:
    """Indices of the training images and of the held-out ones.

    Args:
        images: The data set.
        fold: The fold (0 to 4) that is held out.
    """
    folds = [fold_of(name, i) for i, name in enumerate(images.ids)]
    return [i for i, f in enumerate(folds) if f != fold], [i for i, f in enumerate(folds) if f == fold]


def train(
    data: Path,
    out: Path,
    *,
    epochs: int = 5,
    fold: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Trains a FlowerNet with one fold held out, and measures its accuracy on that fold.

    The same as `vebi train`. The state is saved beside ``out`` after every epoch, and the same call resumes from it.

    Args:
        data: A folder with one folder of images per class.
        out: The checkpoint to write, a safetensors file.
        epochs: Passes over the training images, at least 1.
        fold: The fold (0 to 4) that is held out.
        seed: Seed of the initial weights and of the order of the images.
        progress: Called with (epochs done, epochs).

    Returns:
        The result, which the checkpoint holds too.

    Raises:
        UsageError: An option is out of range.
        InputError: The data cannot be used, or ``out`` holds a network of other data or settings.
    """
    _check_options(out, epochs, fold)
    start = time.monotonic()
    images = open_images(data)
    if len(images.class_names) < 2:
        raise InputError(f"{data} has no class folders: give a folder with one folder of images per class")
    training, test = split(images, fold)
    if not training or not test:
        raise InputError(f"fold {fold} of {data} leaves {len(training)} images to train on and {len(test)} to test on")
    settings = {"data": images.fingerprint(), "epochs": epochs, "fold": fold, "seed": seed}
    if out.exists():
        return _finished(out, settings)
    preprocess = Preprocess(FlowerNet.size, FlowerNet.mean, FlowerNet.std)
    data_in_memory = _load(images, training, preprocess)
    out.parent.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(seed)
    network = FlowerNet(len(images.class_names))
    state = out.with_suffix(".training")
    _optimize(network, data_in_memory, settings, state, progress)
    result = Training(
        accuracy=_accuracy(network, _load(images, test, preprocess)),
        images=len(training),
        held_out=len(test),
        epochs=epochs,
        classes=images.class_names,
        seconds=time.monotonic() - start,
    )
    note = {"settings": settings, "result": asdict(result), "versions": provenance.versions()}
    save_checkpoint(out, network, "vebi:flowernet", preprocess, images.class_names, note)
    state.unlink(missing_ok=True)
    return result


def _check_options(out: Path, epochs: int, fold: int) -> None:
    if epochs < 1 or not 0 <= fold < FOLDS:
        raise UsageError(
            f"epochs is {epochs} and fold {fold}: train for at least 1 epoch with a fold from 0 to 4 held out"
        )
    if out.suffix != ".safetensors":
        raise UsageError(f"the checkpoint is to be written to {out}: give a file name that ends in .safetensors")


def _finished(out: Path, settings: dict[str, Any]) -> Training:
    """The result in a checkpoint of the same settings; InputError where it holds another network."""
    note = read_note(out)
    if note.get("settings") != settings:
        raise InputError(f"{out} holds a network of other data or settings: choose another file name, or delete it")
    return Training(**note["result"] | {"classes": tuple(note["result"]["classes"])})


def _load(images: ImageCollection, indices: Sequence[int], preprocess: Preprocess) -> _LabelledPixels:
    """Images in memory. Warns of those that cannot be decoded; InputError where none can."""

    def to_pixels(image: Image.Image | Tensor, _: str) -> Tensor:
        assert isinstance(image, Image.Image)  # it comes from a file
        return torch.from_numpy(preprocess.pixels(image))

    pixels, labels, skipped = [], [], []
    for batch in batches(images, indices, to_pixels, 256):
        pixels.append(batch.inputs)
        labels += batch.labels
        skipped += batch.skipped
    report_skipped(skipped, len(indices))
    if not labels:
        raise InputError("no image could be decoded: check the data")
    return _LabelledPixels(torch.cat([p for p in pixels if p.numel()]), torch.tensor(labels), preprocess)


def _optimize(
    network: nn.Module, data: _LabelledPixels, settings: dict[str, Any], state: Path, progress: Progress | None
) -> None:
    """Trains for the epochs of ``settings``, or for those left where ``state`` holds an unfinished training."""
    epochs = settings["epochs"]
    _set_memory_format(network, torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    done = _resume(state, settings, network, optimizer)
    if progress:
        progress(done, epochs)
    for epoch in range(done, epochs):
        _train_epoch(network, optimizer, data, epoch, settings)
        content = {
            "settings": json.dumps(settings),
            "epoch": epoch + 1,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with atomic_write(state) as partial:
            torch.save(content, partial)
        if progress:
            progress(epoch + 1, epochs)
    _set_memory_format(network, torch.contiguous_format)


def _set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    network.to(memory_format=memory_format)  # type: ignore[call-overload]  # the stubs of torch lack this argument


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: _LabelledPixels,
    epoch: int,
    settings: dict[str, Any],
) -> None:
    """One pass over the images, in an order that depends on seed and epoch alone."""
    order = np.random.default_rng([settings["seed"], epoch]).permutation(len(data.labels))
    steps = -(-len(order) // BATCH)
    for step in range(steps):
        fraction = (epoch * steps + step) / (settings["epochs"] * steps)
        for group in optimizer.param_groups:  # a short warm-up, then down along half a cosine
            group["lr"] = RATE * min(1, 10 * fraction + 0.05) * 0.5 * (1 + math.cos(math.pi * fraction))
        indices = torch.from_numpy(order[step * BATCH : (step + 1) * BATCH])
        loss = nn.functional.cross_entropy(network(data.inputs(indices)), data.labels[indices])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def _accuracy(network: nn.Module, data: _LabelledPixels) -> float:
    correct = 0
    with torch.no_grad():
        for i in range(0, len(data.labels), 256):
            rows = slice(i, i + 256)
            correct += int((network(data.inputs(rows)).argmax(dim=1) == data.labels[rows]).sum())
    return correct / len(data.labels)


def _resume(state: Path, settings: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Loads an unfinished training; returns its epochs done, 0 where there is none. InputError for other settings."""
    if not state.exists():
        return 0
    try:
        stored = torch.load(state, weights_only=True)
        if stored["settings"] != json.dumps(settings):
            raise InputError(
                f"{state} belongs to an unfinished training of other data or settings: finish that, or delete the file"
            )
        network.load_state_dict(stored["network"])
        optimizer.load_state_dict(stored["optimizer"])
        epoch: int = stored["epoch"]
    except InputError:
        raise
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise InputError(f"{state} cannot be read ({type(error).__name__}): delete it to start again") from None
    return epoch
