import json
import math
import shutil

import pytest
import safetensors
import safetensors.torch
import torch

from vebi.data.sources import open_images
from vebi.datasets.flowers import optimization
from vebi.datasets.flowers.folds import split
from vebi.datasets.flowers.labelled_pixels import load_pixels, permute_labels
from vebi.datasets.flowers.optimization import accuracy
from vebi.datasets.flowers.training import train
from vebi.datasets.flowers.training_settings import EARLIER
from vebi.errors import InputError, UsageError
from vebi.models.architectures import ARCHITECTURES
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note


class StopError(Exception):
    """Somebody pulls the plug."""


def tensors(path):
    """The bytes of every tensor by name; the header of the file also tells how long the training took."""
    return {name: value.numpy().tobytes() for name, value in safetensors.torch.load_file(path).items()}


def stop_after(epochs):
    def stop(done, _):
        if done == epochs:
            raise StopError

    return stop


def test_training_learns_and_its_checkpoint_is_a_classifier(squares, tmp_path):
    out = tmp_path / "network.safetensors"
    result = train(squares, out, epochs=20, fold=0)
    assert result.accuracy == 1.0
    assert result.images + result.held_out == 72
    classifier = load_classifier(out)
    assert classifier.class_names == result.classes == ("blue", "green", "red")
    assert not list(tmp_path.glob("*.training*"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_bits_and_another_does_not(squares, tmp_path, architecture):
    one, same, other = (tmp_path / f"{name}.safetensors" for name in ("one", "same", "other"))
    for out, seed in ((one, 3), (same, 3), (other, 4)):
        train(squares, out, epochs=2, seed=seed, architecture=architecture)
        torch.rand(1)  # what is drawn between does not matter
    assert tensors(one) == tensors(same) != tensors(other)


def test_any_number_of_threads_gives_the_same_bits(squares, tmp_path, monkeypatch):
    monkeypatch.setattr(optimization, "THREADS", 2)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            train(squares, tmp_path / f"{threads}.safetensors", epochs=2)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (
        tensors(tmp_path / "1.safetensors")
        == tensors(tmp_path / "2.safetensors")
        == tensors(tmp_path / "3.safetensors")
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_accuracy_is_that_of_the_classifier_that_is_stored(squares, tmp_path, architecture):
    """After two epochs running statistics are far from those of a batch: it is measured with the former."""
    out = tmp_path / "network.safetensors"
    result = train(squares, out, epochs=2, architecture=architecture)
    classifier, images = load_classifier(out), open_images(squares)
    held_out = load_pixels(images, split(images, 0)[1], classifier.preprocess)
    assert result.accuracy == accuracy(classifier.model, held_out)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stopped_training_goes_on_and_gives_the_same_network(squares, tmp_path, architecture):
    whole, stopped = (tmp_path / f"{name}.safetensors" for name in ("whole", "stopped"))
    train(squares, whole, epochs=3, architecture=architecture)
    with pytest.raises(StopError):
        train(squares, stopped, epochs=3, architecture=architecture, progress=stop_after(2))
    reports = []
    train(squares, stopped, epochs=3, architecture=architecture, progress=lambda done, _: reports.append(done))
    assert reports == [2, 3]
    assert tensors(whole) == tensors(stopped)


def test_a_finished_training_is_not_repeated(squares, tmp_path):
    out = tmp_path / "network.safetensors"
    first = train(squares, out, epochs=1)
    before = out.stat().st_mtime_ns
    assert train(squares, out, epochs=1) == first
    assert out.stat().st_mtime_ns == before


def test_a_checkpoint_of_other_settings_is_not_overwritten(squares, tmp_path):
    out = tmp_path / "network.safetensors"
    train(squares, out, epochs=1)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"network\.safetensors holds a network of other data or settings"):
        train(squares, out, epochs=2)
    assert out.read_bytes() == before


def test_a_state_that_cannot_be_read_is_said_and_not_executed(squares, tmp_path):
    (tmp_path / "network.training").write_bytes(b"not a state")
    with pytest.raises(InputError, match=r"network\.training"):
        train(squares, tmp_path / "network.safetensors", epochs=1)


@pytest.mark.parametrize("options", [{"architecture": "flower-resnet"}, {"folds_by": "frame"}])
def test_a_checkpoint_of_another_architecture_or_other_folds_is_not_overwritten(squares, tmp_path, options):
    """Nor taken for one of these settings, though by either name the folds of these images are the same."""
    out = tmp_path / "network.safetensors"
    train(squares, out, epochs=1)
    with pytest.raises(InputError, match=r"network\.safetensors holds a network of other data or settings"):
        train(squares, out, epochs=1, **options)
    out.unlink()
    with pytest.raises(StopError):
        train(squares, out, epochs=2, progress=stop_after(1))
    with pytest.raises(InputError, match="unfinished training of other data or settings"):
        train(squares, out, epochs=2, **options)


def test_what_earlier_versions_stored_is_of_the_defaults(squares, tmp_path):
    """They had neither architectures nor other folds, and did not store these."""
    out, state = tmp_path / "network.safetensors", tmp_path / "network.training"
    with pytest.raises(StopError):
        train(squares, out, epochs=2, progress=stop_after(1))
    stored = torch.load(state, weights_only=True)
    settings = {key: json.loads(stored["settings"])[key] for key in ("data", "epochs", "fold", "seed")}
    torch.save(stored | {"settings": json.dumps(settings)}, state)
    reports = []
    result = train(squares, out, epochs=2, progress=lambda done, _: reports.append(done))
    assert reports == [1, 2]

    note = read_note(out)
    assert note["settings"] == settings | EARLIER
    with safetensors.safe_open(out, "pt") as file:
        metadata = file.metadata() | {"note": json.dumps(note | {"settings": settings})}
    safetensors.torch.save_file(safetensors.torch.load_file(out), out, metadata)
    before = out.read_bytes()
    assert train(squares, out, epochs=2) == result
    assert out.read_bytes() == before
    with pytest.raises(InputError, match="other data or settings"):
        train(squares, out, epochs=2, architecture="flower-vgg")


@pytest.mark.parametrize("note", [{}, {"settings": None}, {"settings": [1]}])
def test_a_checkpoint_without_settings_is_of_others(squares, tmp_path, note):
    out = tmp_path / "network.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, out, {"note": json.dumps(note)})
    with pytest.raises(InputError, match="other data or settings"):
        train(squares, out, epochs=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.pop("result"),
        lambda note: note.update(result=[]),
        lambda note: note["result"].pop("classes"),
        lambda note: note["result"].update(classes=5),
        lambda note: note["result"].update(accuracy="high"),
        lambda note: note["result"].update(more=1),
    ],
)
def test_a_checkpoint_whose_record_is_damaged(squares, tmp_path, change):
    out = tmp_path / "network.safetensors"
    train(squares, out, epochs=1)
    note = read_note(out)
    change(note)
    safetensors.torch.save_file(safetensors.torch.load_file(out), out, {"note": json.dumps(note)})
    with pytest.raises(InputError, match=r"record .* in .*network\.safetensors is damaged: delete"):
        train(squares, out, epochs=1)


@pytest.mark.parametrize("epoch", [-5, 3, 1.5, math.nan, True])
def test_a_state_of_an_epoch_that_cannot_be(squares, tmp_path, epoch):
    out, state = tmp_path / "network.safetensors", tmp_path / "network.training"
    with pytest.raises(StopError):
        train(squares, out, epochs=2, progress=stop_after(1))
    torch.save(torch.load(state, weights_only=True) | {"epoch": epoch}, state)
    with pytest.raises(InputError, match=r"network\.training cannot be read .*delete it"):
        train(squares, out, epochs=2)


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"fold": 5}, "fold 5"),
        ({"fold": -1}, "fold -1"),
        ({"architecture": "resnet18"}, "'resnet18'.*flowernet, flower-resnet, flower-vgg"),
        ({"folds_by": "class"}, "'class'.*rotation, frame"),
    ],
)
def test_impossible_options(squares, tmp_path, options, fact):
    with pytest.raises(UsageError, match=fact):
        train(squares, tmp_path / "network.safetensors", **options)


def test_folds_by_frame_hold_out_frames(squares, tmp_path):
    """Of 8 frames under 3 rotations the fold of frames 1 and 6 is another than that of rotation 1."""
    for c, folder in enumerate(sorted(squares.iterdir())):
        (tmp_path / "data" / folder.name).mkdir(parents=True)
        for i, path in enumerate(sorted(folder.iterdir())):
            shutil.copy(path, tmp_path / "data" / folder.name / f"class{c}_img{i % 8}_p0_r{i // 8}.png")
    by_rotation, by_frame = (tmp_path / f"{folds_by}.safetensors" for folds_by in ("rotation", "frame"))
    assert train(tmp_path / "data", by_rotation, epochs=1, fold=1).held_out == 3 * 8
    assert train(tmp_path / "data", by_frame, epochs=1, fold=1, folds_by="frame").held_out == 3 * 2 * 3
    assert tensors(by_rotation) != tensors(by_frame)


def test_a_checkpoint_is_a_safetensors_file(squares, tmp_path):
    with pytest.raises(UsageError, match="safetensors"):
        train(squares, tmp_path / "network.pt", epochs=1)


@pytest.mark.filterwarnings("ignore:.*has no folders of classes:vebi.errors.VebiWarning")
def test_images_without_class_folders_cannot_train(squares, tmp_path):
    with pytest.raises(InputError, match="red has no class folders"):
        train(squares / "red", tmp_path / "network.safetensors", epochs=1)


def test_an_unfinished_training_of_other_settings_is_not_overwritten(squares, tmp_path):
    out = tmp_path / "network.safetensors"
    with pytest.raises(StopError):
        train(squares, out, epochs=3, progress=stop_after(1))
    before = (tmp_path / "network.training").read_bytes()
    with pytest.raises(InputError, match="unfinished training of other data or settings"):
        train(squares, out, epochs=4)
    assert (tmp_path / "network.training").read_bytes() == before


def test_the_accuracy_is_that_of_the_held_out_images(squares, tmp_path):
    """The held-out images lie in the folder of another class: a network trained on the others is wrong on them."""
    names = ("blue", "green", "red")
    for k, name in enumerate(names):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        for i, path in enumerate(sorted((squares / name).iterdir())):
            folder = name if i % 5 else names[(k + 1) % 3]
            (tmp_path / "data" / folder).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "data" / folder / f"{name}{i}_r{i % 5}.png")
    result = train(tmp_path / "data", tmp_path / "network.safetensors", epochs=20)
    assert result.accuracy < 0.1
    assert result.held_out == 15


@pytest.mark.parametrize("options", [{"augment": True}, {"permuted_labels": True}])
def test_what_changes_a_training_is_a_setting_of_it(squares, tmp_path, options):
    plain, changed, again = (tmp_path / f"{name}.safetensors" for name in ("plain", "changed", "again"))
    train(squares, plain, epochs=1)
    for out in (changed, again):
        train(squares, out, epochs=1, **options)
    assert tensors(plain) != tensors(changed) == tensors(again)
    with pytest.raises(InputError, match="other data or settings"):
        train(squares, changed, epochs=1)


def test_permuted_labels_keep_their_number_and_tell_nothing(squares):
    images = open_images(squares)
    pixels = load_pixels(images, range(len(images)), Preprocess(48, (0.5,) * 3, (0.25,) * 3))
    permuted = permute_labels(pixels, 0)
    assert torch.equal(permuted.labels.bincount(), pixels.labels.bincount())
    assert (permuted.labels == pixels.labels).float().mean() < 0.6
    assert torch.equal(permuted.pixels, pixels.pixels)
