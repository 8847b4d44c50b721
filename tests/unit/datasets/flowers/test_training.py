import shutil

import pytest
import safetensors.torch
import torch

from vebi.data.sources import open_images
from vebi.datasets.flowers.training import fold_of, split, train
from vebi.errors import InputError, UsageError
from vebi.models.load import load_classifier


class StopError(Exception):
    """Somebody pulls the plug."""


def test_a_fold_is_the_r_of_a_name_or_the_number_modulo_5():
    assert fold_of("red/class0_img12_p4_r3.png", 0) == 3
    assert [fold_of("a.png", i) for i in range(7)] == [0, 1, 2, 3, 4, 0, 1]


def test_a_split_is_a_partition_and_holds_out_one_fold(double):
    images = open_images(double)
    training, test = split(images, 2)
    assert sorted(training + test) == list(range(len(images)))
    assert {images.ids[i][-5] for i in test} == {"2"}
    assert len(test) == len(images) / 5


def test_training_learns_and_its_checkpoint_is_a_classifier(squares, tmp_path):
    out = tmp_path / "network.safetensors"
    result = train(squares, out, epochs=20, fold=0)
    assert result.accuracy == 1.0
    assert result.images + result.held_out == 72
    classifier = load_classifier(out)
    assert classifier.class_names == result.classes == ("blue", "green", "red")
    assert not list(tmp_path.glob("*.training*"))


def test_a_stopped_training_goes_on_and_gives_the_same_network(squares, tmp_path):
    def stop_after_two(done, _):
        if done == 2:
            raise StopError

    train(squares, tmp_path / "whole.safetensors", epochs=3)
    with pytest.raises(StopError):
        train(squares, tmp_path / "stopped.safetensors", epochs=3, progress=stop_after_two)
    reports = []
    train(squares, tmp_path / "stopped.safetensors", epochs=3, progress=lambda done, _: reports.append(done))
    assert reports == [2, 3]
    whole, stopped = (safetensors.torch.load_file(tmp_path / f"{n}.safetensors") for n in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


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


@pytest.mark.parametrize("options", [{"epochs": 0}, {"fold": 5}, {"fold": -1}])
def test_impossible_options(squares, tmp_path, options):
    with pytest.raises(UsageError):
        train(squares, tmp_path / "network.safetensors", **options)


def test_a_checkpoint_is_a_safetensors_file(squares, tmp_path):
    with pytest.raises(UsageError, match="safetensors"):
        train(squares, tmp_path / "network.pt", epochs=1)


def test_images_without_class_folders_cannot_train(squares, tmp_path):
    with pytest.raises(InputError, match="red has no class folders"):
        train(squares / "red", tmp_path / "network.safetensors", epochs=1)


def test_an_unfinished_training_of_other_settings_is_not_overwritten(squares, tmp_path):
    def stop(done, _):
        if done == 1:
            raise StopError

    out = tmp_path / "network.safetensors"
    with pytest.raises(StopError):
        train(squares, out, epochs=3, progress=stop)
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
