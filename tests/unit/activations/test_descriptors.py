"""Descriptors against their definition written out, and a table that can be stopped at any moment."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import same_shards
from torch import nn

from vebi.activations.descriptors import Descriptor, channel_energy, describe, descriptors
from vebi.activations.layers import choose_layers
from vebi.activations.table import DescriptorTable, shard_name, tabulate
from vebi.data.collections import DataSet
from vebi.data.sources import open_images
from vebi.errors import ImageError, ModelError, RunError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


def literal(activations, energy, unit_norm):
    """METHOD: per channel the sum of squares (or its root), l1 per layer, side by side, l2 over all."""
    rows = []
    for n in range(len(activations[0])):
        row = []
        for activation in activations:
            values = []
            for channel in activation[n]:
                total = sum(float(v) ** 2 for v in channel.flatten())
                values.append(total if energy == "squared" else total**0.5)
            total = sum(values)
            row += [v / total if total > 0 else 0.0 for v in values]
        length = sum(v**2 for v in row) ** 0.5
        rows.append([v / length for v in row] if unit_norm and length > 0 else row)
    return torch.tensor(rows)


@pytest.mark.parametrize("energy", ["squared", "l2"])
@pytest.mark.parametrize("unit_norm", [True, False])
def test_definition(energy, unit_norm):
    torch.manual_seed(0)
    activations = [torch.randn(3, 4, 5, 6), torch.randn(3, 2), torch.randn(3, 3, 1, 1).relu()]
    activations[1][2] = 0  # silent for the last image
    got = descriptors([channel_energy(a, energy) for a in activations], unit_norm)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, literal(activations, energy, unit_norm))
    assert (got[2, 4:6] == 0).all()


def test_silence_is_zero_and_not_nan():
    silent = [torch.zeros(2, 3), torch.zeros(2, 4)]
    for unit_norm in (True, False):
        assert torch.equal(descriptors(silent, unit_norm), torch.zeros(2, 7))
    faint = descriptors([torch.tensor([[1e-30, 3e-30]])], True)
    torch.testing.assert_close(faint, torch.tensor([[1.0, 3.0]]) / 10**0.5)


class Nan(nn.Module):
    """Breaks in the layer that it is told to, after ``good`` images."""

    def __init__(self, value=float("nan")):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)
        self.value = value

    def forward(self, x):
        x = F.relu(self.conv(x))
        y = F.silu(torch.where(x > 0, self.value, x))
        return self.head(torch.nan_to_num(y, 0, 0, 0).mean((2, 3)) + x.mean((2, 3)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("hidden", [True, False])
def test_activations_that_are_not_finite(value, hidden):
    net = Nan(value)
    if not hidden:  # then the class scores are not finite either, and the layer is named all the same
        net.forward = lambda x: net.head(F.silu(F.relu(net.conv(x)) * value).mean((2, 3)))
    classifier = Classifier(net, Preprocess(8, (0.5,) * 3, (0.5,) * 3))
    good = Nan(0.0)
    layers = choose_layers(Classifier(good, classifier.preprocess))
    with pytest.raises(ModelError, match="silu hold NaN or infinity"):
        describe(classifier, layers, torch.randn(2, 3, 8, 8), Descriptor())
    assert not any(m._forward_hooks for m in net.modules())


def test_description_of_a_batch(toy):
    x = torch.randn(5, 3, 32, 32)
    rows, scores = describe(toy, choose_layers(toy), x, Descriptor())
    net = toy.module
    with torch.no_grad():
        a = F.relu(net.conv1(x))
        b = F.relu(net.conv2(F.max_pool2d(a, 2)))
        torch.testing.assert_close(rows, literal([a, b], "squared", True), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(scores, net(x))


# --- the table ------------------------------------------------------------------------------------------------------


def table(toy, squares, folder, **options):
    return tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), folder, **options)


def test_rows_labels_and_order(toy, squares, tmp_path):
    images = open_images(squares, toy.class_names)
    made = table(toy, squares, tmp_path, batch_size=7, shard_size=25)
    assert made.shards == 3 and len(made.features) == 20
    assert [str(f) for f in made.features[7:9]] == ["relu1:7", "relu:0"]
    assert (made.column("indices") == np.arange(72)).all()
    assert (made.column("labels") == images.labels).all()
    assert (made.column("predictions") == made.column("labels")).all()
    inputs = torch.stack([toy.preprocess.prepare(images.load(i)[0]) for i in (0, 30, 71)])
    rows, _ = describe(toy, choose_layers(toy), inputs, Descriptor())
    np.testing.assert_allclose(made.columns(range(20))[[0, 30, 71]], rows.numpy(), atol=1e-6)
    assert (made.columns([3, 11]) == made.columns(range(20))[:, [3, 11]]).all()


def test_a_row_does_not_depend_on_what_comes_with_it(toy, squares, tmp_path):
    """Shards of any size hold the same bits."""
    whole = table(toy, squares, tmp_path / "a", batch_size=16, shard_size=72).columns(range(20))
    parts = table(toy, squares, tmp_path / "b", batch_size=16, shard_size=11).columns(range(20))
    assert (whole == parts).all()


def test_every_pass_is_a_whole_batch(toy, squares, tmp_path, monkeypatch):
    """Other batch shapes may take other kernels, whose last digits differ."""
    sizes = []
    forward = type(toy.module).forward
    images, layers = open_images(squares, toy.class_names), choose_layers(toy)
    monkeypatch.setattr(type(toy.module), "forward", lambda net, x: sizes.append(len(x)) or forward(net, x))
    tabulate(toy, images, layers, tmp_path, batch_size=16, shard_size=20)
    assert sizes == [16] * 7


def test_sums(toy, squares, tmp_path):
    made = table(toy, squares, tmp_path, shard_size=20)
    x = made.columns(range(20)).astype(np.float64)
    for labels in ("labels", "predictions"):
        one_hot = np.eye(3)[made.column(labels)]
        sums = made.sums(3, labels)
        np.testing.assert_allclose(sums.gram, x.T @ x, rtol=1e-12)
        np.testing.assert_allclose(sums.b, x.T @ one_hot, rtol=1e-12)
        w = np.random.default_rng(0).random((3, x.shape[1]))
        np.testing.assert_allclose(made.gradients(w, labels), (x.T @ (x @ w.T - one_hot)).T, atol=1e-9)
        of = np.arange(len(x)) % 2
        parts = made.label_sums(of, 2, 3, labels)
        np.testing.assert_allclose(parts, [(x[of == k].T @ one_hot[of == k]).T for k in range(2)], atol=1e-12)
        assert (sums.e == one_hot.sum(axis=0)).all() and sums.gram.dtype == np.float64


def test_pictures_without_a_class_count_in_the_gram_matrix_alone(toy, squares, tmp_path):
    paths = sorted(squares.rglob("*.png"))[20:28]  # four of the first class, four of the second
    images = open_images(paths, toy.class_names)
    images.labels[:3] = [-1] * 3
    sums = tabulate(toy, images, choose_layers(toy), tmp_path).sums(3, "labels")
    assert sums.e.tolist() == [1, 4, 0]
    assert np.trace(sums.gram) == pytest.approx(8)


def test_a_stopped_pass_goes_on_where_it_was(toy, squares, tmp_path):
    table(toy, squares, tmp_path / "whole", shard_size=10)
    told = []

    def stop(done, total):
        told.append((done, total))
        if len(told) == 3:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        table(toy, squares, folder, shard_size=10, progress=stop)
    assert told == [(10, 72), (20, 72), (30, 72)]
    times = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(times) == 3
    (folder / shard_name(1)).unlink()
    (folder / "shard-00003.safetensors.partial").write_bytes(b"half a shard")
    table(toy, squares, folder, shard_size=10)
    same_shards(tmp_path / "whole", folder)
    assert (folder / shard_name(0)).stat().st_mtime_ns == times[shard_name(0)]
    assert not list(folder.glob("*.partial"))


def test_a_failing_model_leaves_whole_shards_only(toy, squares, tmp_path, monkeypatch):
    calls = []
    forward = type(toy.module).forward

    def fail(module, x):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more memory")
        return forward(module, x)

    images, layers = open_images(squares, toy.class_names), choose_layers(toy)
    with monkeypatch.context() as patched:
        patched.setattr(type(toy.module), "forward", fail)
        with pytest.raises(RuntimeError, match="no more memory"):
            tabulate(toy, images, layers, tmp_path, batch_size=4, shard_size=8)
    assert [p.name for p in tmp_path.iterdir()] == [shard_name(0)]
    assert not any(m._forward_hooks for m in toy.module.modules())


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None])
def test_a_damaged_shard_is_named(toy, squares, tmp_path, damage):
    made = table(toy, squares, tmp_path, shard_size=40)
    path = tmp_path / shard_name(1)
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    for read in (made.skipped, lambda: made.sums(3), lambda: made.column("labels")):
        with pytest.raises(RunError, match="shard-00001.safetensors is damaged"):
            read()


def test_a_shard_with_a_class_that_the_model_does_not_have(toy, squares, tmp_path):
    made = table(toy, squares, tmp_path, shard_size=40)
    with pytest.raises(RunError, match="shard-00001.* holds a class beyond the 2 of the model"):
        made.sums(2)


def test_pictures_that_cannot_be_decoded_have_no_row(toy, squares, tmp_path):
    paths = sorted(squares.rglob("*.png"))[:6]
    for i in (0, 2, 3):
        paths[i] = tmp_path / f"{i}.png"
        paths[i].write_bytes(b"no picture")
    images = open_images(paths, toy.class_names)
    made = tabulate(toy, images, choose_layers(toy), tmp_path / "table", batch_size=2, shard_size=4)
    assert made.column("indices").tolist() == [1, 4, 5] and made.columns([0]).shape == (3, 1)
    skipped = made.skipped()
    assert [name for name, _ in skipped] == [str(paths[i]) for i in (0, 2, 3)]
    assert all("no picture" in reason or "not a picture" in reason for _, reason in skipped)
    with pytest.raises(ImageError, match="0.png"):
        tabulate(toy, images, choose_layers(toy), tmp_path / "strict", strict=True)


def test_nothing_but_unreadable_pictures(toy, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_bytes(b"")
    made = tabulate(toy, open_images(paths, toy.class_names), choose_layers(toy), tmp_path / "table")
    assert made.columns([0, 1]).shape == (0, 2) and len(made.skipped()) == 3
    assert made.sums(3).e.tolist() == [0, 0, 0]


def test_no_more_than_a_batch_of_activations_is_alive(toy, squares, tmp_path):
    """Weak references to every activation that was ever tapped: all but those of the current batch are gone."""
    import weakref

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
    assert len(alive) == 2 * 18 and most <= 2  # two ReLUs a pass


def test_a_data_set_of_tensors(toy, tmp_path):
    items = [(torch.randn(3, 32, 32), i % 3) for i in range(5)]
    made = tabulate(toy, DataSet(items, toy.class_names), choose_layers(toy), tmp_path)
    assert isinstance(made, DescriptorTable) and made.column("labels").tolist() == [0, 1, 2, 0, 1]
