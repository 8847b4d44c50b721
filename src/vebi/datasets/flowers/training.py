"""Training of a reference network on a data set, with one fold held out; it can be stopped and resumed."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vebi import provenance
from vebi.data.sources import open_images
from vebi.datasets.flowers.folds import FOLDS, check_folds_by, split
from vebi.datasets.flowers.labelled_pixels import load_pixels, permute_labels
from vebi.datasets.flowers.optimization import accuracy, fixed_threads, optimize
from vebi.datasets.flowers.training_settings import TrainingSettings
from vebi.errors import InputError, UsageError
from vebi.models.architectures import find_architecture
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note, save_checkpoint
from vebi.outputs import check_suffix, output_file
from vebi.progress import Progress

#: What the name of a checkpoint ends in.
SUFFIX = ".safetensors"


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
        fit: Accuracy on the training images, with the labels that it was trained on, in [0, 1]; None in checkpoints of
            earlier versions.
    """

    accuracy: float
    images: int
    held_out: int
    epochs: int
    classes: tuple[str, ...]
    seconds: float
    fit: float | None = None


def train(
    data: Path,
    out: Path,
    *,
    architecture: str = "flowernet",
    epochs: int = 5,
    fold: int = 0,
    folds_by: str = "rotation",
    seed: int = 0,
    augment: bool = False,
    permuted_labels: bool = False,
    progress: Progress | None = None,
) -> Training:
    """Trains a reference network with one fold held out, and measures its accuracy on that fold.

    The same as `vebi train`. The state is saved beside ``out`` after every epoch, and the same call resumes from it.
    On one machine equal arguments give equal weights to the bit, with any number of threads: two of torch are used.

    Args:
        data: A folder with one folder of images per class.
        out: The checkpoint to write, a safetensors file.
        architecture: The network: ``"flowernet"``, ``"flower-resnet"`` or ``"flower-vgg"``.
        epochs: Passes over the training images, at least 1.
        fold: The fold (0 to 4) that is held out.
        folds_by: What makes the folds, ``"rotation"`` or ``"frame"``, see ``fold_of``.
        seed: Seed of the initial weights and of the order of the images.
        augment: Whether every image is mirrored in half of the passes, and shifted by up to 1/14 of its sides.
        permuted_labels: Whether the labels of the training images are permuted at random, for the check whether maps
            depend on what was learned (Adebayo et al., NeurIPS 2018, section 4).
        progress: Called with (epochs done, epochs).

    Returns:
        The result, which the checkpoint holds too.

    Raises:
        UsageError: An option is out of range.
        InputError: The data cannot be used, or ``out`` holds a network of other data or settings, or another process
            trains it.
    """
    _check_options(out, epochs, fold)
    check_folds_by(folds_by)
    network_class = find_architecture(architecture)
    start = time.monotonic()
    images = open_images(data)
    if len(images.class_names) < 2:
        raise InputError(f"{data} has no class folders: give a folder with one folder of images per class")
    training, test = split(images, fold, folds_by)
    if not training or not test:
        raise InputError(f"fold {fold} of {data} leaves {len(training)} images to train on and {len(test)} to test on")
    data_sha256 = images.fingerprint()
    settings = TrainingSettings(data_sha256, epochs, fold, seed, architecture, folds_by, augment, permuted_labels)
    with output_file(out, SUFFIX), fixed_threads():
        if out.exists():
            return _finished(out, settings)
        preprocess = Preprocess(network_class.size, network_class.mean, network_class.std)
        pixels = load_pixels(images, training, preprocess)
        if permuted_labels:
            pixels = permute_labels(pixels, seed)

        torch.manual_seed(seed)
        network = network_class(len(images.class_names))
        state = out.with_suffix(".training")
        optimize(network, pixels, settings, state, progress)
        result = Training(
            accuracy=accuracy(network, load_pixels(images, test, preprocess)),
            images=len(training),
            held_out=len(test),
            epochs=epochs,
            classes=images.class_names,
            seconds=time.monotonic() - start,
            fit=accuracy(network, pixels),
        )
        note = {"settings": asdict(settings), "result": asdict(result), "versions": provenance.versions()}
        save_checkpoint(out, network, f"vebi:{architecture}", preprocess, images.class_names, note)
        state.unlink(missing_ok=True)
        return result


def _check_options(out: Path, epochs: int, fold: int) -> None:
    if epochs < 1 or not 0 <= fold < FOLDS:
        raise UsageError(
            f"epochs is {epochs} and fold {fold}: train for at least 1 epoch with a fold from 0 to 4 held out"
        )
    check_suffix(out, SUFFIX)


def _finished(out: Path, settings: TrainingSettings) -> Training:
    """The result in a checkpoint of the same settings; InputError where it holds another network."""
    note = read_note(out)
    if not settings.match(note.get("settings")):
        raise InputError(f"{out} holds a network of other data or settings: choose another file name, or delete it")
    result: Any = note.get("result")
    if not _is_result(result):
        raise InputError(f"the record of the training in {out} is damaged: delete the file to train again")
    return Training(**result | {"classes": tuple(result["classes"])})


def _is_result(stored: Any) -> bool:
    """Whether something that was stored are the fields of a Training; earlier versions had no ``fit``."""
    shares, counts = {"accuracy": float, "fit": float | None}, {"images": int, "held_out": int, "epochs": int}
    kinds: dict[str, Any] = shares | counts | {"classes": list, "seconds": float}
    return (
        isinstance(stored, dict)
        and kinds.keys() - {"fit"} <= stored.keys() <= kinds.keys()
        and all(isinstance(value, kinds[name]) for name, value in stored.items())
        and all(isinstance(name, str) for name in stored["classes"])
    )
