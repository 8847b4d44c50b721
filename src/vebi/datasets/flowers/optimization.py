"""The passes over the training images, of which each is saved, so that training can be stopped and resumed."""

import io
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vebi.datasets.flowers.labelled_pixels import LabelledPixels
from vebi.datasets.flowers.training_settings import TrainingSettings
from vebi.errors import InputError, VebiWarning, join_names
from vebi.files import atomic_write, parse_json
from vebi.progress import Progress

BATCH = 64
RATE = 2e-3
#: Threads of a training, whatever the machine has: sums over another number of threads round differently, and steps of
#: the optimiser make that large.
THREADS = 2


#: Values of OpenMP's settings with which it may give fewer threads than these: torch then waits for the rest forever.
FEWER_THREADS = {"OMP_THREAD_LIMIT": "0*[01]", "OMP_DYNAMIC": "(?i:true)", "OMP_MAX_ACTIVE_LEVELS": "0+"}


@contextmanager
def fixed_threads() -> Iterator[None]:
    """The same number of threads of torch in the block on every machine; one, and a warning, where OpenMP may not."""
    before, threads = torch.get_num_threads(), THREADS
    given = {name: os.environ.get(name, "").strip() for name in FEWER_THREADS}
    limits = [f"{name}={value}" for name, value in given.items() if re.fullmatch(FEWER_THREADS[name], value)]
    if limits:
        threads = 1
        warnings.warn(
            f"{join_names(limits)} may keep torch from having {THREADS} threads: it trains with one, and the network "
            f"is not bit for bit that of other machines; unset it for that",
            VebiWarning,
            stacklevel=4,
        )
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def optimize(
    network: nn.Module, data: LabelledPixels, settings: TrainingSettings, state: Path, progress: Progress | None
) -> None:
    """Trains a network by Adam, and leaves it in evaluation mode.

    Args:
        network: The network with its initial weights.
        data: The training images.
        settings: How many epochs, and the seed.
        state: Where each epoch is saved; an unfinished training that it holds is resumed.
        progress: Called with (epochs done, epochs).

    Raises:
        InputError: ``state`` is of other settings, or cannot be read.
    """
    network.train()
    _set_memory_format(network, torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    done = _resume(state, settings, network, optimizer)
    if progress:
        progress(done, settings.epochs)
    for epoch in range(done, settings.epochs):
        _train_epoch(network, optimizer, data, epoch, settings)
        content = {
            "settings": json.dumps(asdict(settings)),
            "epoch": epoch + 1,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with atomic_write(state) as partial:
            partial.write_bytes(buffer.getvalue())
        if progress:
            progress(epoch + 1, settings.epochs)
    _set_memory_format(network, torch.contiguous_format)
    network.eval()


def _set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    network.to(memory_format=memory_format)  # type: ignore[call-overload]  # the stubs of torch lack this argument


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: LabelledPixels,
    epoch: int,
    settings: TrainingSettings,
) -> None:
    """One pass over the images, in an order that depends on seed and epoch alone."""
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(data.labels))
    batches = _batches(order, any(isinstance(part, nn.BatchNorm2d) for part in network.modules()))
    for step, batch in enumerate(batches):
        fraction = (epoch * len(batches) + step) / (settings.epochs * len(batches))
        for group in optimizer.param_groups:  # a short warm-up, then down along half a cosine
            group["lr"] = RATE * min(1, 10 * fraction + 0.05) * 0.5 * (1 + math.cos(math.pi * fraction))
        indices = torch.from_numpy(batch)
        inputs = data.varied_inputs(indices, rng) if settings.augment else data.inputs(indices)
        loss = nn.functional.cross_entropy(network(inputs), data.labels[indices])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def _batches(order: np.ndarray, even: bool) -> list[np.ndarray]:
    """The images in batches of 64 and a rest, or ``even``: in as many batches, whose sizes differ by one at most.

    Batch normalisation needs the latter: a rest of one image would weigh as much in its statistics as 64 others do.
    """
    steps = -(-len(order) // BATCH)
    return np.array_split(order, steps) if even else np.split(order, range(BATCH, len(order), BATCH))


def accuracy(network: nn.Module, data: LabelledPixels) -> float:
    """The share of images, in [0, 1], whose highest score is that of their label."""
    correct = 0
    with torch.no_grad():
        for i in range(0, len(data.labels), 256):
            rows = slice(i, i + 256)
            correct += int((network(data.inputs(rows)).argmax(dim=1) == data.labels[rows]).sum())
    return correct / len(data.labels)


def _resume(state: Path, settings: TrainingSettings, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Loads an unfinished training; returns its epochs done, 0 where there is none. InputError for other settings."""
    if not state.exists():
        return 0
    try:
        stored = torch.load(state, weights_only=True)
        if not settings.match(parse_json(stored["settings"])):
            raise InputError(
                f"{state} belongs to an unfinished training of other data or settings: finish that, or delete the file"
            )
        network.load_state_dict(stored["network"])
        optimizer.load_state_dict(stored["optimizer"])
        epoch: int = stored["epoch"]
        if type(epoch) is not int or not 0 <= epoch <= settings.epochs:
            raise ValueError
    except InputError:
        raise
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise InputError(f"{state} cannot be read ({type(error).__name__}): delete it to start again") from None
    return epoch
