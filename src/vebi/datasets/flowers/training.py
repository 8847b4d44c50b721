"""Training of the reference network on a data set, with one fold held out; it can be stopped and resumed."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vebi import provenance
from vebi.data.collections import Images
from vebi.data.loader import batches, report_skipped
from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError
from vebi.files import whole
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note, save_checkpoint

FOLDS = 5
BATCH = 64
RATE = 2e-3


@dataclass(frozen=True)
class Training:
    """What came out: held-out ``accuracy`` in [0, 1] on ``held_out`` images after ``epochs`` passes over ``images``."""

    accuracy: float
    images: int
    held_out: int
    epochs: int
    classes: tuple[str, ...]
    seconds: float


def fold_of(image_id: str, index: int) -> int:
    """The fold of an image: its r where its name has one (``..._r3.png``), else its number modulo 5."""
    found = re.search(r"_r([0-4])\.\w+$", image_id)
    return int(found[1]) if found else index % FOLDS


def split(images: Images, fold: int) -> tuple[list[int], list[int]]:
    """Indices of the images that train and of those that are held out."""
    folds = [fold_of(name, i) for i, name in enumerate(images.ids)]
    return [i for i, f in enumerate(folds) if f != fold], [i for i, f in enumerate(folds) if f == fold]


def train(
    data: Path,
    out: Path,
    *,
    epochs: int = 5,
    fold: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Training:
    """Trains a FlowerNet on a class-per-folder tree and writes it to ``out``, a safetensors checkpoint.

    Images of ``fold`` (0 to 4) are held out and tell the accuracy. After every epoch the state is kept beside ``out``,
    and the same call goes on from there. ``progress`` is called with (epochs done, epochs). Raises UsageError for
    options that cannot be, InputError for data that cannot be used.
    """
    if epochs < 1 or not 0 <= fold < FOLDS:
        raise UsageError(
            f"epochs is {epochs} and fold {fold}: train for at least 1 epoch with a fold from 0 to 4 held out"
        )
    if out.suffix != ".safetensors":
        raise UsageError(f"the checkpoint is to be written to {out}: give a file name that ends in .safetensors")
    started = time.monotonic()
    images = open_images(data)
    if len(images.class_names) < 2:
        raise InputError(f"{data} has no class folders: give a folder with one folder of pictures for each class")
    learn, test = split(images, fold)
    if not learn or not test:
        raise InputError(f"fold {fold} of {data} leaves {len(learn)} pictures to learn from and {len(test)} to test on")
    preprocess = Preprocess(FlowerNet.size, FlowerNet.mean, FlowerNet.std)
    settings = dict(data=images.fingerprint(), epochs=epochs, fold=fold, seed=seed)
    if out.exists():
        return _finished(out, settings)
    inputs, labels = _load(images, learn, preprocess)
    out.parent.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(seed)
    network = FlowerNet(len(images.class_names)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    state = out.with_suffix(".training")
    done = _resume(state, settings, network, optimizer)
    if progress:
        progress(done, epochs)
    for epoch in range(done, epochs):
        _epoch(network, optimizer, inputs, labels, preprocess, epoch, epochs, seed)
        content = {
            "settings": json.dumps(settings),
            "epoch": epoch + 1,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with whole(state) as partial:
            torch.save(content, partial)
        if progress:
            progress(epoch + 1, epochs)
    network.to(memory_format=torch.contiguous_format)
    result = Training(
        accuracy=_accuracy(network, *_load(images, test, preprocess), preprocess),
        images=len(learn),
        held_out=len(test),
        epochs=epochs,
        classes=images.class_names,
        seconds=time.monotonic() - started,
    )
    note = {"settings": settings, "result": asdict(result), "versions": provenance.versions()}
    save_checkpoint(out, network, "vebi:flowernet", preprocess, images.class_names, note)
    state.unlink(missing_ok=True)
    return result


def _finished(out: Path, settings: dict) -> Training:
    """The result in a checkpoint of the same settings; InputError where it holds another network."""
    note = read_note(out)
    if note.get("settings") != settings:
        raise InputError(f"{out} holds a network of other data or settings: choose another file name, or delete it")
    return Training(**note["result"] | {"classes": tuple(note["result"]["classes"])})


def _load(images: Images, indices: Sequence[int], preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """Pictures as N x H x W x 3 uint8, a quarter of what the inputs would need, and their labels."""
    pictures, labels, skipped = [], [], []
    for batch in batches(images, indices, lambda image, _: torch.from_numpy(preprocess.pixels(image)), 256):
        pictures.append(batch.inputs)
        labels += batch.labels
        skipped += batch.skipped
    report_skipped(skipped, len(indices))
    if not labels:
        raise InputError("no picture could be decoded: check the data")
    return torch.cat([p for p in pictures if p.numel()]), torch.tensor(labels)


def _normalised(pictures: Tensor, preprocess: Preprocess) -> Tensor:
    mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
    return ((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2)  # channels last in memory, which is fast


def _epoch(network, optimizer, inputs, labels, preprocess, epoch: int, epochs: int, seed: int) -> None:
    order = np.random.default_rng([seed, epoch]).permutation(len(inputs))
    steps = -(-len(order) // BATCH)
    for step in range(steps):
        share = (epoch * steps + step) / (epochs * steps)
        for group in optimizer.param_groups:  # a short warm-up, then down along half a cosine
            group["lr"] = RATE * min(1, 10 * share + 0.05) * 0.5 * (1 + math.cos(math.pi * share))
        chosen = torch.from_numpy(order[step * BATCH : (step + 1) * BATCH])
        loss = nn.functional.cross_entropy(network(_normalised(inputs[chosen], preprocess)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _accuracy(network: nn.Module, inputs: Tensor, labels: Tensor, preprocess: Preprocess) -> float:
    with torch.no_grad():
        hits = [
            (network(_normalised(x, preprocess)).argmax(dim=1) == y).sum().item()
            for x, y in zip(inputs.split(256), labels.split(256), strict=True)
        ]
    return sum(hits) / len(labels)


def _resume(state: Path, settings: dict, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Epochs done so far; 0 where there is no state to go on from. InputError where it is of other settings."""
    if not state.exists():
        return 0
    try:
        held = torch.load(state, weights_only=True)
        if held["settings"] != json.dumps(settings):
            raise InputError(
                f"{state} belongs to an unfinished training of other data or settings: finish that, or delete the file"
            )
        network.load_state_dict(held["network"])
        optimizer.load_state_dict(held["optimizer"])
        return held["epoch"]
    except InputError:
        raise
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise InputError(f"{state} cannot be read ({type(error).__name__}): delete it to start again") from None
