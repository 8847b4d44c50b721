"""The fit: what must not change the weights, what resumes, and what is said on the way."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import scale_of
from torch import nn

from vebi import lasso
from vebi.activations.descriptors import Descriptor, describe, descriptors
from vebi.activations.layers import choose_layers
from vebi.activations.table import tabulate
from vebi.data.collections import DatasetImages
from vebi.data.loader import batches
from vebi.data.sources import open_images
from vebi.errors import InputError, ModelError, RunError, UsageError, VebiWarning
from vebi.interpretation import fit
from vebi.interpretation.diagnostics import near_chance_notes
from vebi.interpretation.fit import interpret
from vebi.interpretation.labelled_images import open_labelled, with_class_names
from vebi.interpretation.result import load
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

MU = 1.75  # binds for every class, with several features each


def weights(found):
    """Classes x all columns of the table, so that fits that selected other features can be compared."""
    whole = np.zeros((len(found.class_names), sum(channels for _, channels in found.layers)))
    whole[:, list(found.columns)] = found.weights
    return whole


def assert_same(one, other):
    assert one.features == other.features
    assert (one.weights == other.weights).all()
    assert one.diagnostics.gaps == other.diagnostics.gaps
    for a, b in zip(one.exemplars, other.exemplars, strict=True):
        assert a.image_ids == b.image_ids
        assert a.average == b.average
        assert a.spotlights == b.spotlights


@pytest.fixture(scope="module")
def reference(toy_module, squares):
    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    return interpret(toy, squares, mu=MU)


def test_the_whole_fit(toy, squares, reference):
    assert reference.class_names == ("blue", "green", "red")
    assert reference.mus == (MU,) * 3
    assert reference.mu == MU
    assert max(reference.diagnostics.gaps) <= 1e-8
    assert (reference.weights >= 0).all()
    for name in reference.class_names:
        assert 1 <= len(reference.select_features(name)) <= 20
    np.testing.assert_allclose(np.abs(reference.weights).sum(axis=1), MU, rtol=1e-9)
    assert reference.diagnostics.accuracy == 1
    assert reference.diagnostics.images_per_class["red"] == 24
    assert [e.feature for e in reference.exemplars] == list(reference.features)
    assert reference.classifier is not None


def test_the_weights_are_those_of_the_table(toy, squares, reference, tmp_path):
    """By the definition: one-hot predictions, the table's columns, and the certificate."""
    table = tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), tmp_path)
    x = table.columns(range(20))
    for descriptor in (Descriptor(), Descriptor(scaling="plain")):
        found = reference if descriptor == Descriptor() else interpret(toy, squares, mu=MU, descriptor=descriptor)
        for j, w in enumerate(weights(found)):
            z, label = x, (table.column("predictions") == j).astype(float)
            if descriptor == Descriptor():
                z, label = (
                    (x - x.mean(axis=0)) / scale_of(x),
                    label - label.mean(),
                )
            assert lasso.certify(w, z.T @ z, z.T @ label, label @ label, MU).gap <= 1e-9


@pytest.mark.parametrize("scaling", ["plain", "centred", "standardised", "log", "clr"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_number_of_features_means_the_same_for_every_form(toy, squares, tmp_path, scaling, count):
    options = {"features_per_class": count, "descriptor": Descriptor(scaling=scaling)}
    found = interpret(toy, squares, out=tmp_path / "run", **options)
    assert ((found.weights != 0).sum(axis=1) == count).all()
    assert max(found.diagnostics.gaps) <= 1e-9
    assert found.mu is None
    assert len(set(found.mus)) == 3
    np.testing.assert_allclose(np.abs(found.weights).sum(axis=1), found.mus)
    assert found.stability.selection_probability.max() > 0.5
    assert load(tmp_path / "run").mus == found.mus
    three = interpret(toy, squares, out=tmp_path / "other", stability=False)
    assert three.settings.features_per_class == 3


def test_where_the_evidence_comes_from(toy, squares, tmp_path):
    found = interpret(toy, squares, out=tmp_path)
    table = tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), tmp_path / "table")
    x, predictions = table.columns(range(20)), table.column("predictions")
    z = (x - x.mean(axis=0)) / scale_of(x)
    for j, w in enumerate(weights(found)):
        evidence = np.maximum(z[predictions == j] * w, 0).sum(axis=0)
        expected = np.array([evidence[:8].sum(), evidence[8:].sum()]) / evidence.sum()
        np.testing.assert_allclose(found.layer_shares[j], expected)


def test_a_note_on_the_images_comes_once_for_a_model_without_class_names(toy, squares):
    with pytest.warns(VebiWarning) as notes:
        classifier, images = open_labelled(replace(toy, class_names=None), squares / "red")
    assert ["no folders of classes" in str(note.message) for note in notes] == [True]
    assert classifier.class_names == images.class_names == ("0", "1", "2")


@pytest.mark.filterwarnings("ignore:.*has no folders of classes:vebi.errors.VebiWarning")
def test_near_constant_columns_do_not_stand_in_for_a_constant_term(tmp_path):
    """The fault that the paper's form has: with one feature a class, the one that hardly varies wins there alone."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.copy_(torch.tensor([0.0, 0.0, 3.0, 0.0]))
        net[0].weight[0, 0], net[0].weight[1, 2] = 0.3, 0.3
        net[4].weight.copy_(torch.tensor([[9.0, -9.0, 0, 0], [-9.0, 9.0, 0, 0]]))
        net[4].bias.zero_()
    classifier = Classifier(net.eval(), Preprocess(8, (0.5,) * 3, (0.5,) * 3), ("red", "blue"))
    rng = np.random.default_rng(0)
    for k in range(40):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[..., 2 * (k % 2)] = rng.integers(170, 255)
        Image.fromarray(pixels).save(tmp_path / f"{k:02d}.png")
    chosen = {}
    for name, descriptor in (("paper", Descriptor.paper()), ("default", Descriptor())):
        found = interpret(classifier, tmp_path, features_per_class=1, descriptor=descriptor)
        chosen[name] = [str(found.select_features(c)[0][0]) for c in ("red", "blue")]
    assert chosen["paper"] == ["1:2", "1:2"]
    assert chosen["default"] == ["1:0", "1:1"]


# --- what must not matter -------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), shard=st.integers(5, 80))
def test_image_order_and_shards_change_nothing(toy_module, squares, reference, seed, shard):
    toy = reference.classifier
    paths = sorted(squares.rglob("*.png"))
    order = np.random.default_rng(seed).permutation(len(paths))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fit, "SHARD", shard)
        found = interpret(toy, [paths[i] for i in order], mu=MU, stability=False)
    assert abs(weights(found) - weights(reference)).max() <= 1e-9


@settings(max_examples=6, deadline=None)
@given(batch=st.integers(1, 80), signed=st.booleans(), mu=st.sampled_from([0.5, 1.0, 5.0]))
def test_batch_size_changes_no_selection(toy_module, squares, reference, batch, signed, mu):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)  # of bounds that do not bind
        one, other = (
            interpret(reference.classifier, squares, mu=mu, signed=signed, batch_size=b, stability=False)
            for b in (64, batch)
        )
    assert one.features == other.features
    assert ((one.weights != 0) == (other.weights != 0)).all()
    assert abs(one.weights - other.weights).max() <= 1e-4 * mu  # other kernels round differently


class Pairs:
    """A data set as torch users write it."""

    def __init__(self, root):
        self.paths = sorted(root.rglob("*.png"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        name = self.paths[i].parent.name
        return Image.open(self.paths[i]), name if i % 2 else ("blue", "green", "red").index(name)


def test_every_kind_of_data_gives_the_same(toy, squares, reference):
    images = open_images(squares, toy.class_names)
    paths = [images.path(i) for i in range(len(images))]
    tensors = [(toy.preprocess.prepare(images.load(i)[0]), images.labels[i]) for i in range(len(images))]
    for data in (str(squares), paths, [str(p) for p in paths], Pairs(squares), tensors):
        found = interpret(toy, data, mu=MU)
        assert found.features == reference.features
        assert (found.weights == reference.weights).all()


def test_fidelity_is_that_of_the_features_alone(toy, squares, reference):
    images = open_images(squares, toy.class_names)
    layers = choose_layers(toy)
    (batch,) = batches(images, range(len(images)), toy.preprocess.prepare, len(images))
    shares, scores = describe(toy, layers, batch.inputs)
    x = descriptors(shares, [8, 12], Descriptor())
    z = (x - x.mean(axis=0)) / scale_of(x)
    constants = np.bincount(scores.argmax(1).numpy()) / len(x)
    guessed = (z[:, list(reference.columns)] @ reference.weights.T + constants).argmax(axis=1)
    assert reference.diagnostics.fidelity == pytest.approx((guessed == scores.argmax(1).numpy()).mean())
    assert 0.5 < reference.diagnostics.fidelity <= 1


@pytest.mark.filterwarnings("ignore:.*has no folders of classes:vebi.errors.VebiWarning")
def test_predicted_and_true_labels(toy, squares, tmp_path, reference):
    """Exchanged folders change the fit to true labels and leave the one to predictions alone."""
    paths = []
    for name, other in zip(("blue", "green", "red"), ("green", "red", "blue"), strict=True):
        (tmp_path / other).symlink_to(squares / name)
        paths += sorted((tmp_path / other).iterdir())
    with pytest.warns(VebiWarning, match=r"0\.0%.* chance \(33\.3%\): check its mean"):
        predicted = interpret(toy, paths, mu=MU)
    with pytest.warns(VebiWarning, match="near chance"):
        true = interpret(toy, paths, mu=MU, labels="true")
    np.testing.assert_allclose(weights(predicted), weights(reference), atol=1e-12)
    np.testing.assert_allclose(weights(true), weights(reference)[[2, 0, 1]], atol=1e-9)
    assert true.diagnostics.accuracy == 0
    with pytest.raises(InputError, match="true class"):
        interpret(toy, flat(squares, tmp_path / "flat"), mu=MU, labels="true")


def test_a_model_with_other_preprocessing_than_in_training_is_doubted(toy, squares):
    blind = replace(toy, preprocess=replace(toy.preprocess, mean=(40.0,) * 3))
    with pytest.warns(VebiWarning) as caught:
        found = interpret(blind, squares, mu=MU)
    assert any("chance (33.3%): check its mean, std and size" in str(warning.message) for warning in caught)
    assert found.diagnostics.accuracy == pytest.approx(1 / 3)
    assert any("near chance" in note for note in found.diagnostics.notes)


@pytest.mark.parametrize(
    ("truth", "predictions", "doubted"),
    [
        ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], False),
        ([0, 1, 2, 0, 1, 2], [1, 2, 0, 1, 2, 0], True),
        ([0] * 95 + [1] * 5, [0] * 100, True),  # right on 95 % by always saying the same
        ([0] * 95 + [1] * 5, [0] * 95 + [1] * 3 + [0] * 2, False),
        ([0, 1] * 50, [0, 1] * 28 + [1, 0] * 22, False),  # kappa .12
        ([0, 1] * 50, [0, 1] * 27 + [1, 0] * 23, True),  # kappa .08
        ([0, 0], [0, 0], False),  # nothing to be confused with
        ([], [], False),
    ],
)
def test_doubt(truth, predictions, doubted):
    assert bool(near_chance_notes(np.array(truth, np.int64), np.array(predictions, np.int64))) == doubted


def flat(squares, folder):
    """A folder of images without classes."""
    folder.mkdir()
    for path in sorted(squares.rglob("0*.png")):
        (folder / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    return folder


@pytest.mark.filterwarnings("ignore:.*has no folders of classes:vebi.errors.VebiWarning")
def test_a_folder_without_classes_can_be_fitted_to_predictions(toy, squares, tmp_path):
    found = interpret(toy, flat(squares, tmp_path / "flat"), mu=MU)
    assert found.diagnostics.accuracy is None
    assert found.diagnostics.images_per_class == dict.fromkeys(toy.class_names, 10)


# --- what is said ---------------------------------------------------------------------------------------------------


def test_a_class_that_is_never_predicted(toy, squares):
    paths = [p for p in sorted(squares.rglob("*.png")) if p.parent.name != "green"]
    with pytest.warns(VebiWarning, match="never predicted.*: green"):
        found = interpret(toy, paths, mu=0.4)
    assert found.select_features("green") == []
    assert found.select_features("red")
    with pytest.warns(VebiWarning, match="no images.*: green"):
        interpret(toy, paths, mu=0.4, labels="true")


def test_a_bound_that_does_not_bind_and_a_gap(toy, squares, monkeypatch):
    with pytest.warns(VebiWarning, match="mu = 1000 does not bind") as caught:
        found = interpret(toy, squares, mu=1000)
    assert len(caught) == 1
    assert found.diagnostics.complete == (False,) * 3
    assert max(found.diagnostics.gaps) <= 1e-6
    broken = [lasso.Solution(np.full(20, 0.01), 2e-5, 1e-4, True, 3)] * 3
    monkeypatch.setattr(lasso, "solve_all", lambda *_, **__: broken)
    # the table tells, whatever the solver says
    with pytest.warns(VebiWarning, match=r"gap.*: blue \(\d\.\de\+00\)") as caught:
        found = interpret(toy, squares, mu=MU)
    assert len(caught) == 1
    assert min(found.diagnostics.gaps) > 1
    assert min(found.diagnostics.violations) > 0.01


def test_skipped_images_are_counted_and_named(toy, squares, tmp_path):
    paths = sorted(squares.rglob("*.png"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(paths[0].read_bytes()[:200])
    with pytest.warns(VebiWarning, match=r"1 of 73 .*broken\.png"):
        found = interpret(toy, [*paths[:40], broken, *paths[40:]], mu=MU)
    assert list(found.diagnostics.skipped) == [str(broken)]
    assert (found.weights == interpret(toy, paths, mu=MU).weights).all()
    with pytest.raises(InputError, match=r"broken\.png"):
        interpret(toy, [*paths, broken], mu=MU, strict=True)
    with pytest.raises(InputError, match=r"decoded.*broken\.png"):
        interpret(toy, [broken, broken], mu=MU)


@pytest.mark.parametrize(
    "options",
    [
        {"mu": 0},
        {"mu": -1},
        {"mu": float("nan")},
        {"labels": "guessed"},
        {"features_per_class": 0},
        {"mu": 1.0, "features_per_class": 3},
        {"batch_size": 0},
        {"layers": ["no"]},
    ],
)
def test_impossible_options(toy, squares, tmp_path, options):
    with pytest.raises(UsageError, match=next(iter(options)).rstrip("s")):
        interpret(toy, squares, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_names_for_a_model_that_has_none(toy, squares, tmp_path):
    nameless = replace(toy, class_names=None)
    with pytest.warns(VebiWarning, match="blue, green, red"):
        assert with_class_names(nameless, open_images(squares)).class_names == ("blue", "green", "red")
    assert with_class_names(nameless, DatasetImages([], ())).class_names == ("0", "1", "2")
    for name in ("blue", "red"):
        (tmp_path / name).symlink_to(squares / name)
    with pytest.raises(ModelError, match=r"\b3\b.*\b2\b"):
        with_class_names(nameless, open_images(tmp_path))


def test_numbers_have_two_orders(toy, squares, tmp_path):
    nameless = replace(toy, class_names=None)
    for name, number in (("blue", "9"), ("green", "10"), ("red", "11")):
        (tmp_path / number).symlink_to(squares / name)
    with pytest.raises(InputError, match="10, 11, 9"):
        with_class_names(nameless, open_images(tmp_path))
    (tmp_path / "9").rename(tmp_path / "12")
    with pytest.warns(VebiWarning, match="10, 11, 12"):
        with_class_names(nameless, open_images(tmp_path))


def test_options_that_matter(toy, squares, reference):
    for options in (
        {"descriptor": Descriptor(energy="squared")},
        {"descriptor": Descriptor(unit_norm=True)},
        {"descriptor": Descriptor.paper()},
        {"layers": ["relu"]},
    ):
        found = interpret(toy, squares, mu=0.6, **options)
        assert max(found.diagnostics.gaps) <= 1e-8
        assert weights(found).shape != (3, 20) or abs(weights(found) - weights(reference)).max() > 1e-3
    assert {f.layer for f in found.features} == {"relu"}
    signed = interpret(toy, squares, mu=1.5, signed=True)
    assert (signed.weights < 0).any()
    assert max(signed.diagnostics.gaps) <= 1e-8


# --- runs -----------------------------------------------------------------------------------------------------------


def test_same_settings_resume_and_others_are_refused(toy, squares, tmp_path, reference):
    out = tmp_path / "run"
    assert_same(interpret(toy, squares, mu=MU, out=out), reference)
    stamp = (out / "interpretation.json").stat().st_mtime_ns
    calls = []
    assert_same(interpret(toy, squares, mu=MU, out=out, progress=lambda *a: calls.append(a)), reference)
    assert not calls
    assert (out / "interpretation.json").stat().st_mtime_ns == stamp
    for options in ({"mu": 2.0}, {"signed": True}, {"labels": "true"}, {"layers": ["relu1"]}, {"batch_size": 3}):
        with pytest.raises(RunError, match=next(iter(options))):
            interpret(toy, squares, **{"mu": MU, "out": out, **options})
    other = replace(toy, model=type(toy.model)().eval())
    with pytest.raises(RunError, match="model-sha256"):
        interpret(other, squares, mu=MU, out=out)
    with pytest.raises(RunError, match="data"):
        interpret(toy, sorted(squares.rglob("*.png"))[1:], mu=MU, out=out)
    full = tmp_path / "full"
    full.mkdir()
    (full / "diary.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        interpret(toy, squares, mu=MU, out=full)


@pytest.mark.parametrize("stage", ["descriptors", "exemplars"])
@pytest.mark.parametrize("call", [0, 1])
def test_interrupted_and_run_again(toy, squares, tmp_path, reference, monkeypatch, stage, call):
    monkeypatch.setattr(fit, "SHARD", 16)
    seen = []

    def interrupt(name, done, total):
        seen.append(name)
        if seen.count(stage) > call:
            raise KeyboardInterrupt

    options = {"mu": MU, "out": tmp_path / "run", "batch_size": 8}
    with pytest.raises(KeyboardInterrupt):
        interpret(toy, squares, progress=interrupt, **options)
    with pytest.raises(RunError, match="not finished"):
        load(tmp_path / "run")
    steps = []
    found = interpret(toy, squares, progress=lambda *a: steps.append(a), **options)
    undisturbed = interpret(toy, squares, mu=MU, batch_size=8)
    assert_same(found, undisturbed)
    assert_same(load(tmp_path / "run"), undisturbed)
    first_shard_was_written = (stage, call) != ("descriptors", 0)
    assert steps[0] == ("descriptors", 16 if first_shard_was_written else 8, 72)
    assert steps[-1][1] == steps[-1][2]


SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
torch.set_num_threads(1)
from support import SIZE, ToyNet
from vebi.interpretation import fit
from vebi.models.classifier import Classifier, Preprocess
fit.SHARD = 4
net = ToyNet().eval()
net.load_state_dict(torch.load(sys.argv[2]))
toy = Classifier(net, Preprocess(SIZE, net.mean, net.std), net.class_names)
print("ready", flush=True)
fit.interpret(toy, sys.argv[3], mu=float(sys.argv[5]), out=sys.argv[4], batch_size=4)
"""


def files(folder: Path) -> int:
    return len(list(folder.rglob("*.*")))


def test_killed_in_the_middle_and_run_again(toy, squares, tmp_path, monkeypatch):
    """SIGKILL when the run has so many files, and at moments of its own choice in between."""
    state = tmp_path / "state.pt"
    torch.save(toy.model.state_dict(), state)
    out = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, Path(__file__).parents[2], state, squares, out, str(MU)]
    kills = 0
    for at_least in (3, 8, 16):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        until = time.monotonic() + 30
        while files(out) < at_least and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        process.stdout.close()
    assert kills >= 2
    assert not (out / "interpretation.json").exists()
    assert len(list((out / "table").iterdir())) >= 8
    monkeypatch.setattr(fit, "SHARD", 4)
    assert_same(interpret(toy, squares, mu=MU, out=out, batch_size=4), interpret(toy, squares, mu=MU, batch_size=4))
    assert json.loads((out / "interpretation.json").read_text())["mus"] == [MU] * 3


def test_the_notes_of_a_finished_run_are_given_again(toy, squares, tmp_path):
    with pytest.warns(VebiWarning, match="does not bind") as first:
        interpret(toy, squares, mu=50, out=tmp_path / "run")
    with pytest.warns(VebiWarning, match="does not bind") as second:
        interpret(toy, squares, mu=50, out=tmp_path / "run")
    assert [str(w.message) for w in first] == [str(w.message) for w in second]


def test_labels_of_a_model_without_class_names_are_checked(toy, squares):
    nameless = replace(toy, class_names=None)
    pairs = [(squares / "red" / "00.png", 0), (squares / "red" / "01.png", 3)]
    with pytest.raises(InputError, match="label 3"):
        interpret(nameless, pairs, mu=MU, labels="true")
