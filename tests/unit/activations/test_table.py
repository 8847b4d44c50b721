"""A table of descriptors against its definition; it can be stopped at any moment."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import same_shards, scale_of, settings_of

from vebi.activations.descriptors import Descriptor, describe, descriptors
from vebi.activations.layers import choose_layers
from vebi.activations.shards import read_shard, shard_name
from vebi.activations.table import DescriptorTable, tabulate
from vebi.data.collections import DatasetImages
from vebi.data.sources import open_images
from vebi.errors import ImageError, ModelError, RunError
from vebi.files import write_arrays
from vebi.interpretation.run_folder import open_table
from vebi.interpretation.settings import DataSource


def tabulated(toy, squares, folder, **options):
    return tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), folder, **options)


def test_rows_labels_and_order(toy, squares, tmp_path):
    images = open_images(squares, toy.class_names)
    table = tabulated(toy, squares, tmp_path, batch_size=7, shard_size=25)
    assert table.shards == 3
    assert len(table.features) == 20
    assert [str(f) for f in table.features[7:9]] == ["relu1:7", "relu:0"]
    assert (table.column("indices") == np.arange(72)).all()
    assert (table.column("labels") == images.labels).all()
    assert (table.column("predictions") == table.column("labels")).all()
    inputs = torch.stack([toy.preprocess.prepare(images.load(i)[0]) for i in (0, 30, 71)])
    shares, _ = describe(toy, choose_layers(toy), inputs)
    rows = descriptors(shares, [8, 12], Descriptor())
    np.testing.assert_allclose(table.columns(range(20))[[0, 30, 71]], rows, atol=1e-6)
    assert (table.columns([3, 11]) == table.columns(range(20))[:, [3, 11]]).all()


def test_a_row_does_not_depend_on_what_comes_with_it(toy, squares, tmp_path):
    """Shards of any size hold the same bits."""
    one_shard = tabulated(toy, squares, tmp_path / "a", batch_size=16, shard_size=72).columns(range(20))
    many_shards = tabulated(toy, squares, tmp_path / "b", batch_size=16, shard_size=11).columns(range(20))
    assert (one_shard == many_shards).all()


def test_every_forward_pass_is_a_full_batch(toy, squares, tmp_path, monkeypatch):
    """Other batch shapes may take other kernels, whose last digits differ."""
    sizes = []
    forward = type(toy.model).forward
    images, layers = open_images(squares, toy.class_names), choose_layers(toy)
    monkeypatch.setattr(type(toy.model), "forward", lambda net, x: sizes.append(len(x)) or forward(net, x))
    tabulate(toy, images, layers, tmp_path, batch_size=16, shard_size=20)
    assert sizes == [16] * 7


@pytest.mark.parametrize("scaling", ["plain", "centred", "standardised", "log", "clr"])
def test_the_problem_is_that_of_its_rows(toy, squares, tmp_path, scaling):
    table = tabulated(toy, squares, tmp_path, shard_size=20, descriptor=Descriptor(scaling=scaling))
    x = table.columns(range(20))
    for labels in ("labels", "predictions"):
        z, targets = x, np.eye(3)[table.column(labels)]
        if scaling != "plain":
            z, targets = z - z.mean(axis=0), targets - targets.mean(axis=0)
        if scaling == "standardised":
            z = z / scale_of(z)
        problem = table.problem(3, labels)
        np.testing.assert_allclose(problem.gram, z.T @ z, atol=1e-9)
        np.testing.assert_allclose(problem.b, z.T @ targets, atol=1e-9)
        np.testing.assert_allclose(problem.energy, np.square(targets).sum(axis=0))
        w = np.random.default_rng(0).random((3, x.shape[1]))
        gradients = table.gradients(w, problem.scaling, labels)
        np.testing.assert_allclose(gradients, (z.T @ (z @ w.T - targets)).T, atol=1e-8)
        part = np.arange(len(x)) % 2
        parts = table.label_sums(part, 2, problem.scaling, labels)
        np.testing.assert_allclose(parts, [(z[part == k].T @ targets[part == k]).T for k in range(2)], atol=1e-9)
        assert problem.gram.dtype == np.float64


@pytest.mark.parametrize("energy", ["squared", "l2"])
@pytest.mark.parametrize("finished", [False, True])
def test_shards_of_the_version_before_are_taken_over(toy, squares, tmp_path, energy, finished):
    folder, asked = tmp_path / "table", Descriptor(energy, True, "plain")
    table = tabulated(toy, squares, folder, shard_size=40, descriptor=asked)
    shares = [read_shard(folder / shard_name(k))[0] for k in range(2)]
    for k, shard in enumerate(table):  # descriptors were stored, in single precision
        rows = dict(shard) | {"descriptors": shard["descriptors"].astype(np.float32)}
        write_arrays(folder / shard_name(k), rows, {"skipped": "[]"})
    if finished:
        settings = settings_of(toy, (("relu1", 8), ("relu", 12)), descriptor=asked, shard_size=40)
        settings = replace(settings, data=DataSource(72, "", None))
        again = open_table(tmp_path, settings, asked)
    else:
        again = tabulated(toy, squares, folder, shard_size=40, descriptor=asked)
    np.testing.assert_allclose(again.columns(range(20)), table.columns(range(20)), rtol=1e-4, atol=1e-7)
    for k in range(2):
        rows = read_shard(folder / shard_name(k))[0]
        assert set(rows) == {"shares", "predictions", "labels", "indices"}
        np.testing.assert_allclose(rows["shares"], shares[k]["shares"], rtol=1e-5, atol=1e-9)


def test_images_without_a_class_count_in_the_gram_matrix_alone(toy, squares, tmp_path):
    paths = sorted(squares.rglob("*.png"))[20:28]  # four of the first class, four of the second
    images = open_images(paths, toy.class_names)
    images.labels[:3] = [-1] * 3
    problem = tabulate(toy, images, choose_layers(toy), tmp_path, Descriptor.paper()).problem(3, "labels")
    assert problem.energy.round(9).tolist() == [1, 4, 0]
    assert np.trace(problem.gram) == pytest.approx(8)


def test_progress_is_of_every_batch(toy, squares, tmp_path):
    steps = []
    images = open_images(squares)
    options = {"batch_size": 16, "shard_size": 40, "progress": lambda *step: steps.append(step)}
    tabulate(toy, images, choose_layers(toy), tmp_path, **options)
    assert steps == [(16, 72), (32, 72), (40, 72), (56, 72), (72, 72)]


def test_a_stopped_pass_resumes(toy, squares, tmp_path):
    tabulated(toy, squares, tmp_path / "at once", shard_size=10)
    steps = []

    def stop(done, total):
        steps.append((done, total))
        if len(steps) == 3:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        tabulated(toy, squares, folder, shard_size=10, progress=stop)
    assert steps == [(10, 72), (20, 72), (30, 72)]
    times = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(times) == 3
    (folder / shard_name(1)).unlink()
    (folder / "shard-00003.safetensors.partial").write_bytes(b"half a shard")
    tabulated(toy, squares, folder, shard_size=10)
    same_shards(tmp_path / "at once", folder)
    assert (folder / shard_name(0)).stat().st_mtime_ns == times[shard_name(0)]
    assert not list(folder.glob("*.partial"))


def test_a_failing_model_leaves_complete_shards_only(toy, squares, tmp_path, monkeypatch):
    calls = []
    forward = type(toy.model).forward

    def fail(module, x):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more memory")
        return forward(module, x)

    images, layers = open_images(squares, toy.class_names), choose_layers(toy)
    with monkeypatch.context() as patched:
        patched.setattr(type(toy.model), "forward", fail)
        with pytest.raises(ModelError, match=r"fails on an input of shape \(4, 3, 32, 32\) \(RuntimeError: no more"):
            tabulate(toy, images, layers, tmp_path, batch_size=4, shard_size=8)
    assert [p.name for p in tmp_path.iterdir()] == [shard_name(0)]
    assert not any(m._forward_hooks for m in toy.model.modules())


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None])
def test_a_damaged_shard_is_named(toy, squares, tmp_path, damage):
    table = tabulated(toy, squares, tmp_path, shard_size=40)
    path = tmp_path / shard_name(1)
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    for read in (table.skipped, lambda: table.problem(3), lambda: table.column("labels")):
        with pytest.raises(RunError, match=r"shard-00001\.safetensors is damaged"):
            read()


def test_a_shard_with_a_class_that_the_model_does_not_have(toy, squares, tmp_path):
    table = tabulated(toy, squares, tmp_path, shard_size=40)
    with pytest.raises(RunError, match=r"shard-00001\.safetensors .*\b2\b"):
        table.problem(2)


def test_images_that_cannot_be_decoded_have_no_row(toy, squares, tmp_path):
    paths = sorted(squares.rglob("*.png"))[:6]
    for i in (0, 2, 3):
        paths[i] = tmp_path / f"{i}.png"
        paths[i].write_bytes(b"no image")
    images = open_images(paths, toy.class_names)
    table = tabulate(toy, images, choose_layers(toy), tmp_path / "table", batch_size=2, shard_size=4)
    assert table.column("indices").tolist() == [1, 4, 5]
    assert table.columns([0]).shape == (3, 1)
    skipped = table.skipped()
    assert [name for name, _ in skipped] == [str(paths[i]) for i in (0, 2, 3)]
    assert all(name in reason for name, reason in skipped)
    with pytest.raises(ImageError, match=r"0\.png"):
        tabulate(toy, images, choose_layers(toy), tmp_path / "strict", strict=True)


def test_nothing_but_unreadable_images(toy, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_bytes(b"")
    table = tabulate(toy, open_images(paths, toy.class_names), choose_layers(toy), tmp_path / "table")
    assert table.columns([0, 1]).shape == (0, 2)
    assert len(table.skipped()) == 3
    assert table.problem(3).energy.tolist() == [0, 0, 0]


def test_no_more_than_a_batch_of_activations_is_alive(toy, squares, tmp_path):
    """Weak references to every activation that was recorded: all but those of the current batch are gone."""

    alive: list[weakref.ref] = []
    most = 0
    original = F.relu

    def watched(x, **options):
        nonlocal most
        y = original(x, **options)
        alive.append(weakref.ref(y))
        most = max(most, sum(r() is not None for r in alive))
        return y

    toy_layers = choose_layers(toy)
    images = open_images(squares, toy.class_names)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(F, "relu", watched)
        tabulate(toy, images, toy_layers, tmp_path, batch_size=4)
    assert len(alive) == 2 * 18
    assert most <= 2


def test_a_data_set_of_tensors(toy, tmp_path):
    items = [(torch.randn(3, 32, 32), i % 3) for i in range(5)]
    table = tabulate(toy, DatasetImages(items, toy.class_names), choose_layers(toy), tmp_path)
    assert isinstance(table, DescriptorTable)
    assert table.column("labels").tolist() == [0, 1, 2, 0, 1]
