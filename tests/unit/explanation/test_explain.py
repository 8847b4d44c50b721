"""Explanations against the method written out: contributions, guided backprop with the stride fix, combination."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature, choose_layers
from vebi.activations.table import tabulate
from vebi.backprop import heatmaps
from vebi.backprop.heatmaps import clip_for_display
from vebi.data.sources import open_images
from vebi.errors import ImageError, InputError, ModelError, UsageError, VebiWarning
from vebi.explanation.explain import ExplainOptions, explain, explain_batch, explain_each
from vebi.explanation.recipe import Recipe
from vebi.explanation.result import Explanation
from vebi.interpretation.fit import interpret
from vebi.lasso import Scaling
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


@pytest.fixture(scope="module")
def found(toy_module, squares):
    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    fitted = interpret(toy, squares, mu=1.0, descriptor=Descriptor.paper())
    layers = [Feature(name, c) for name, channels in fitted.layers for c in range(channels)]
    # weights of our own, so that every class has features of both layers
    weights = np.random.default_rng(0).random((3, 20)) * (np.arange(60).reshape(3, 20) % 3 != 0)
    weights[:, 8:] *= 3
    scaling = Scaling(np.zeros(20), np.ones(20), np.zeros(3))
    changed = {"features": tuple(layers), "columns": tuple(range(20)), "weights": weights, "scaling": scaling}
    return replace(fitted, exemplars=(), **changed)


def prepared(found, squares, *names):
    prepare, images = found.classifier.preprocess.prepare, open_images([squares / n for n in names], found.class_names)
    return torch.stack([prepare(images.load(i)[0]) for i in range(len(names))])


def activations(net, x):
    """Every intermediate of the toy network, by hand."""
    with torch.no_grad():
        c1 = net.conv1(x)
        a1 = c1.clamp(min=0)
        pooled, where = F.max_pool2d(a1, 2, return_indices=True)
        c2 = net.conv2(pooled)
        return c1, a1, pooled, where, c2, c2.clamp(min=0)


def literal_contributions(found, x, c):
    """x_i w_ic / sum(w_c), from the definition of the descriptor."""
    _, a1, *_, a2 = activations(found.classifier.model, x[None])
    row = []
    for a in (a1[0], a2[0]):
        energy = [float((channel.double() ** 2).sum()) for channel in a]
        row += [e / sum(energy) for e in energy]
    row = np.array(row) / np.linalg.norm(row)
    w = found.weights[c]
    values = {
        f: row[col] * w[i] / w.sum() for i, (f, col) in enumerate(zip(found.features, found.columns, strict=True))
    }
    best = sorted((v, f) for f, v in values.items() if v > 0)[::-1]
    return [(f, v) for v, f in best[:3]]


def literal_heatmap(found, x, feature, fix):
    """Guided backprop from the feature's own activation, layer by layer, without autograd."""
    net = found.classifier.model
    c1, a1, _, where, c2, a2 = activations(net, x[None])
    if feature.layer == "relu":
        seed = torch.zeros_like(a2)
        seed[:, feature.channel] = a2[:, feature.channel]
        g = seed * (c2 > 0) * (seed > 0)
        g = F.conv_transpose2d(g, net.conv2.weight, padding=1)
        g = F.max_unpool2d(g, where, 2, output_size=a1.shape)
    else:
        g = torch.zeros_like(a1)
        g[:, feature.channel] = a1[:, feature.channel]
    g = g * (c1 > 0) * (g > 0)
    if fix == "centred":  # blocks of 2 x 2, stride 1, from offset padding + (2 - 1) // 2
        blocks = g.repeat_interleave(2, 2).repeat_interleave(2, 3)
        g = F.conv_transpose2d(blocks, net.conv1.weight)[:, :, 1:33, 1:33]
    else:
        g = F.conv_transpose2d(g, net.conv1.weight, stride=2, padding=1, output_padding=1)
    return (g.clamp(min=0) ** 2).sum(1).sqrt()[0].detach().numpy()


@pytest.mark.parametrize("fix", ["centred", None])
def test_the_method_written_out(found, squares, fix):
    layers = set()
    for name in ("red/00.png", "green/03.png", "blue/11.png", "red/20.png"):
        e = explain(found, squares / name, recipe=Recipe.paper(stride_fix=fix))
        (x,) = prepared(found, squares, name)
        c = found.class_names.index(e.prediction)
        expected = literal_contributions(found, x, c)
        assert [v.feature for v in e.evidence] == [f for f, _ in expected]
        np.testing.assert_allclose([v.contribution for v in e.evidence], [v for _, v in expected], rtol=1e-5)
        for v in e.evidence:
            layers.add(v.feature.layer)
            literal = literal_heatmap(found, x, v.feature, fix)
            assert literal.max() > 0
            np.testing.assert_allclose(v.heatmap, literal, rtol=1e-4, atol=1e-5 * literal.max())
    assert layers == {"relu1", "relu"}


@pytest.mark.parametrize("scaling", ["standardised", "clr", "log", "centred"])
def test_contributions_of_centred_descriptors_are_above_the_mean(toy, squares, scaling, tmp_path):
    """Written out: the value of an image, less the mean over all images, on the scale of the fit, times the weight."""
    found = interpret(toy, squares, descriptor=Descriptor(scaling=scaling), out=tmp_path)
    table = tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), tmp_path / "table")
    x = replace(table, descriptor=found.descriptor).columns(found.columns)
    scale = found.scaling.scale
    assert (scale == 1).all() or scaling == "standardised"
    for row in (0, 30, 60):
        e = explain(found, sorted(squares.rglob("*.png"))[row])
        w = found.weights[found.class_names.index(e.prediction)]
        values = ((x - x.mean(axis=0)) / scale)[row] * w / w.sum()
        order = [i for i in np.argsort(-values)[:3] if values[i] > 0]
        assert [v.feature for v in e.evidence] == [found.features[i] for i in order]
        np.testing.assert_allclose([v.contribution for v in e.evidence], values[order], rtol=1e-4)


def test_where_nothing_is_stronger_than_usual_what_is_most_present_is_shown(toy, squares, tmp_path):
    found = interpret(toy, squares, out=tmp_path, stability=False)
    table = tabulate(toy, open_images(squares, toy.class_names), choose_layers(toy), tmp_path / "table")
    x = replace(table, descriptor=found.descriptor).columns(found.columns)
    weaker = 0
    for row, path in enumerate(sorted(squares.rglob("*.png"))[:40]):
        for c, target in enumerate(found.class_names):
            w, z = found.weights[c], found.scaling.apply(x)[row]
            if (w * z > 1e-6).any() or not (w * x[row] > 1e-6).any():
                continue
            weaker += 1
            e = explain(found, path, target=target, recipe=Recipe(contrast=False))
            order = np.argsort(-w * x[row] / found.scaling.scale)[: len(e.evidence)]
            assert [v.feature for v in e.evidence] == [found.features[i] for i in order]
            np.testing.assert_allclose([v.contribution for v in e.evidence], (w * z / w.sum())[order], rtol=1e-4)
            assert e.combined_map() == pytest.approx(
                heatmaps.combine(np.stack([v.heatmap for v in e.evidence]), np.ones(len(order)), "mass"), abs=1e-6
            )
    assert weaker > 10


def test_what_is_weaker_than_usual_is_no_evidence(toy, squares):
    """By a negative weight its absence contributes, but no heatmap can show what is not there."""
    found = interpret(toy, squares, signed=True, features_per_class=6, stability=False)
    assert (found.weights < 0).any()
    for name in ("red/00.png", "green/03.png", "blue/11.png"):
        for evidence in explain(found, squares / name, max_features=6).evidence:
            assert (
                found.weights[found.class_names.index(name.split("/")[0])][found.features.index(evidence.feature)] > 0
            )
            assert evidence.heatmap.any()


def test_prediction_probability_and_image(found, squares):
    e = explain(found, squares / "green" / "05.png")
    x = prepared(found, squares, "green/05.png")
    with torch.no_grad():
        probability = found.classifier.model(x).softmax(1)[0, 1].item()
    assert (e.prediction, e.target, e.image_id) == ("green", "green", str(squares / "green" / "05.png"))
    assert e.probability == pytest.approx(probability)
    assert (e.image == found.classifier.preprocess.to_rgb_uint8(x[0])).all()
    assert all(v.contribution > 0 for v in e.evidence)
    assert 1 <= len(e.evidence) <= 3


def assert_alike(one: Explanation, other: Explanation):
    assert (one.prediction, one.target, one.image_id) == (other.prediction, other.target, other.image_id)
    assert [v.feature for v in one.evidence] == [v.feature for v in other.evidence]
    for a, b in zip(one.evidence, other.evidence, strict=True):
        assert a.contribution == pytest.approx(b.contribution, rel=1e-5)
        np.testing.assert_allclose(a.heatmap, b.heatmap, rtol=1e-4, atol=1e-5 * b.heatmap.max())


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_one_image_and_a_batch_give_the_same(found, squares, batch_size):
    paths = [squares / c / f"{i:02d}.png" for i in range(3) for c in ("red", "blue", "green")]
    together = list(explain_each(found, paths, batch_size=batch_size, strict=True))
    assert len(together) == 9
    for path, e in zip(paths, together, strict=True):
        assert_alike(explain(found, path), e)


def test_one_or_many(found, squares, tmp_path):
    path = squares / "red" / "00.png"
    assert isinstance(explain(found, path), Explanation)
    assert isinstance(explain(found, str(path)), Explanation)
    assert len(list(explain_each(found, path))) == len(list(explain_each(found, [path]))) == 1
    assert len(list(explain_each(found, squares))) == 72
    (tmp_path / "only.png").write_bytes(path.read_bytes())
    assert len(list(explain_each(found, tmp_path))) == 1
    (e,) = explain_each(found, [(np.asarray(open_images([path]).load(0)[0]), "red")])
    assert e.image_id == "0"
    assert e.prediction == "red"


def test_a_target_other_than_the_prediction(found, squares):
    """Features of the class asked for, whatever was predicted; a class without positive contributions has none."""
    path = squares / "red" / "01.png"
    (x,) = prepared(found, squares, "red/01.png")
    seen = set()
    for c, name in enumerate(found.class_names):
        e = explain(found, path, target=name)
        assert (e.prediction, e.target) == ("red", name)
        assert [v.feature for v in e.evidence] == [f for f, _ in literal_contributions(found, x, c)]
        seen.add(tuple(v.feature for v in e.evidence))
    assert len(seen) == 3
    inputs = prepared(found, squares, "red/01.png", "red/01.png", "red/01.png")
    for e, name in zip(explain_batch(found, inputs, ["a", "b", "c"], [0, 1, 2]), found.class_names, strict=True):
        assert_alike(replace(e, image_id=str(path)), explain(found, path, target=name))


def test_no_evidence(found, squares):
    silent = replace(found, weights=np.zeros_like(found.weights))
    e = explain(silent, squares / "red" / "00.png")
    assert e.evidence == ()
    assert e.display_maps() == []
    for reduction in ("max", "mean"):
        assert e.combined_map(reduction).shape == (32, 32)
        assert not e.combined_map(reduction).any()
    negative = replace(found, weights=-found.weights)
    assert explain(negative, squares / "red" / "00.png").evidence == ()
    # in a batch beside one that has evidence
    mixed = found.weights.copy()
    mixed[found.class_names.index("red")] = 0
    paths = [squares / "red" / "00.png", squares / "green" / "00.png"]
    red, green = explain_each(replace(found, weights=mixed), paths)
    assert red.evidence == ()
    assert green.evidence


def test_signed_weights_are_divided_by_their_l1_norm(found, squares):
    signed = found.weights.copy()
    signed[:, 1] *= -1
    e = explain(replace(found, weights=signed), squares / "red" / "00.png")
    plain = {v.feature: v.contribution for v in explain(found, squares / "red" / "00.png", max_features=20).evidence}
    assert found.features[1] not in [v.feature for v in e.evidence]
    assert all(v.contribution == pytest.approx(plain[v.feature]) for v in e.evidence)


def test_combined_is_the_maximum_or_the_weighted_mean(found, squares):
    e = explain(found, squares / "blue" / "02.png")
    assert len(e.evidence) > 1
    display_maps = [(v.heatmap - v.heatmap.min()) / (v.heatmap.max() - v.heatmap.min()) for v in e.evidence]
    np.testing.assert_allclose(e.combined_map("max"), np.max(display_maps, axis=0), atol=1e-6)
    share = np.array([v.contribution for v in e.evidence])
    np.testing.assert_allclose(e.combined_map("mean"), np.tensordot(share / share.sum(), display_maps, 1), atol=1e-6)
    np.testing.assert_allclose(e.display_maps(), clip_for_display(np.stack([v.heatmap for v in e.evidence])), atol=1e-6)
    assert e.combined_map().dtype == np.float32
    assert e.combined_map().max() == 1
    with pytest.raises(UsageError, match="sum"):
        e.combined_map("sum")


def test_number_of_features(found, squares):
    path = squares / "red" / "00.png"
    three = explain(found, path)
    one, many = explain(found, path, max_features=1), explain(found, path, max_features=50)
    assert len(one.evidence) == 1
    assert len(many.evidence) >= len(three.evidence)
    contributions = [v.contribution for v in many.evidence]
    assert contributions == sorted(contributions, reverse=True)
    assert_alike(replace(many, evidence=many.evidence[:1]), one)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_features": 0}, "max_features is 0"),
        ({"target": "violet"}, "'violet'"),
    ],
)
def test_impossible_options(found, squares, options, words):
    with pytest.raises(UsageError, match=words):
        explain(found, squares / "red" / "00.png", **options)
    with pytest.raises(UsageError, match=words):  # at the call, not when the first explanation is asked for
        explain_each(found, squares, **options)


def test_images_that_cannot_be_decoded(found, squares, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png"):
        list(explain_each(found, [squares / "red" / "00.png", broken], strict=True))
    with pytest.warns(VebiWarning, match=r"1 of 2 .*broken\.png"):
        (e,) = explain_each(found, [broken, squares / "red" / "00.png"])
    assert e.prediction == "red"


def state(module):
    return [(p.training, len(p._forward_hooks), len(p._forward_pre_hooks), p.__class__) for p in module.modules()], [
        (p.requires_grad, None if p.grad is None else p.grad.clone(), p.detach().clone()) for p in module.parameters()
    ]


def assert_same_state(module, before):
    parts, parameters = state(module)
    assert parts == before[0]
    for (r, g, v), (r2, g2, v2) in zip(parameters, before[1], strict=True):
        assert r == r2
        assert torch.equal(v, v2)
        assert g is g2 is None or torch.equal(g, g2)


def test_the_model_is_left_as_it_was(found, squares, monkeypatch):
    net = found.classifier.model
    net.train()
    net.relu1.eval()
    net.conv1.weight.requires_grad_(False)
    before = state(net)
    try:
        inputs = prepared(found, squares, "red/00.png")
        copy = inputs.clone()
        explain_batch(found, inputs, ["x"])
        assert_same_state(net, before)
        assert torch.equal(inputs, copy)
        assert not inputs.requires_grad
        assert inputs.grad is None
        with torch.no_grad():  # callers that have switched gradients off get the same
            assert explain_batch(found, inputs, ["x"])[0].evidence
            assert not torch.is_grad_enabled()

        def fail(*_, **__):
            raise RuntimeError("in the middle")

        for target, name, kind in ((F, "relu", ModelError), (heatmaps, "positive_norm", RuntimeError)):
            with monkeypatch.context() as patched:
                patched.setattr(target, name, fail)
                with pytest.raises(kind, match="in the middle"):
                    explain_batch(found, inputs, ["x"], options=ExplainOptions(recipe=Recipe.paper()))
            assert_same_state(net, before)
        assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    finally:
        net.conv1.weight.requires_grad_(True)
        net.eval()


def test_a_network_that_changes_its_input_in_place(found, squares):
    class InPlace(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x.mul_(2.0).div_(2.0))

    named = replace(
        found,
        classifier=replace(found.classifier, model=InPlace(found.classifier.model)),
        features=tuple(replace(f, layer=f"net.{f.layer}") for f in found.features),
        settings=replace(found.settings, layers=tuple((f"net.{name}", n) for name, n in found.layers)),
    )
    inputs = prepared(found, squares, "red/00.png")
    (one,), (other,) = (explain_batch(f, inputs, ["x"]) for f in (found, named))
    np.testing.assert_allclose(one.combined_map(), other.combined_map(), atol=1e-5)


def test_progress(found, squares):
    calls = []
    list(explain_each(found, squares, batch_size=30, progress=lambda *a: calls.append(a)))
    assert calls == [(30, 72), (60, 72), (72, 72)]


def test_images_in_memory(found, squares):
    path = squares / "red" / "00.png"
    expected = explain(found, path)
    with Image.open(path) as image:
        image.load()
    tensor = found.classifier.preprocess.prepare(image)
    for one in (image, np.asarray(image), tensor):
        assert_alike(replace(explain(found, one), image_id=expected.image_id), expected)
    for many in ([image, image], torch.stack([tensor, tensor])):
        both = list(explain_each(found, many))
        assert len(both) == 2
        assert_alike(replace(both[1], image_id=expected.image_id), expected)


def test_in_inference_mode(found, squares):
    expected = explain(found, squares / "red" / "00.png")
    with torch.inference_mode():
        assert_alike(explain(found, squares / "red" / "00.png"), expected)


def test_one_broken_image_is_an_error_even_if_not_strict(found, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"a\.png"):
        explain(found, tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png"):
        list(explain_each(found, tmp_path / "a.png"))


@pytest.mark.parametrize("many", ["folder", "list", "batch"])
def test_many_images_are_for_explain_each(found, squares, many):
    images = {"folder": squares, "list": [squares / "red" / "00.png"], "batch": torch.zeros(2, 3, 32, 32)}
    with pytest.raises(UsageError, match="explain_each"):
        explain(found, images[many])


def test_images_that_do_not_exist(found, tmp_path):
    for verb in (explain, explain_each):
        with pytest.raises(InputError, match=r"missing\.png"):
            verb(found, tmp_path / "missing.png")
