"""What every method promises, and the gradient of a class score."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from unit.methods.nets import gradients_by_hand, same

from vebi.errors import ModelError, UsageError
from vebi.explanation.explain import ExplainOptions
from vebi.explanation.recipe import Recipe
from vebi.methods.base import check_counts, score_gradient
from vebi.methods.cam import GradCam, GradCamPlusPlus, LayerCam
from vebi.methods.features import FeatureEvidence, UpsampledActivations
from vebi.methods.finer_cam import FinerCam
from vebi.methods.gradient import Gradient, InputXGradient, IntegratedGradients, SmoothGrad
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import Deconvnet, GuidedBackprop
from vebi.methods.perturbation import Occlusion, Rise, ScoreCam

#: From a classifier.
PLAIN = {
    "gradient": Gradient,
    "input x gradient": InputXGradient,
    "integrated gradients": partial(IntegratedGradients, n_steps=5),
    "smoothgrad": partial(SmoothGrad, n_samples=3),
    "guided backprop": GuidedBackprop,
    "guided backprop, fixed": partial(GuidedBackprop, stride_fix="centred"),
    "deconvnet": Deconvnet,
    "deconvnet, fixed": partial(Deconvnet, stride_fix="nearest"),
    "grad-cam": GradCam,
    "grad-cam of relu1": partial(GradCam, layer="relu1"),
    "grad-cam++": GradCamPlusPlus,
    "layer-cam": LayerCam,
    "layer-cam, bicubic": partial(LayerCam, interpolation="bicubic"),
    "finer-cam": FinerCam,
    "guided grad-cam": lambda classifier: GuidedCam(GradCam(classifier), "centred"),
    "guided grad-cam++": lambda classifier: GuidedCam(GradCamPlusPlus(classifier)),
    "score-cam": partial(ScoreCam, layer="relu1"),
    "occlusion": partial(Occlusion, window=8, stride=4),
    "rise": partial(Rise, n_masks=80),
}
#: From an interpretation.
FITTED = {
    "vebi": FeatureEvidence,
    "vebi, mean": partial(FeatureEvidence, options=ExplainOptions(5, Recipe(stride_fix=None, combination="mean"))),
    "upsampled activations": UpsampledActivations,
}
every = pytest.mark.parametrize("name", [*PLAIN, *FITTED])


def make(name, interpretation):
    return FITTED[name](interpretation) if name in FITTED else PLAIN[name](interpretation.classifier)


def alike(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 2, 2, 1, 0])


@every
def test_one_finite_map_per_image(interpretation, images, targets, name):
    maps = make(name, interpretation)(images, targets)
    assert type(maps) is torch.Tensor
    assert maps.shape == (6, 32, 32)
    assert maps.dtype == torch.float32
    assert maps.device == images.device
    assert not maps.requires_grad
    assert maps.isfinite().all()
    assert (maps.amax((1, 2)) > maps.amin((1, 2))).sum() >= 4


@every
def test_images_that_are_not_square(interpretation, targets, name):
    maps = make(name, interpretation)(torch.randn(6, 3, 24, 40), targets)
    assert maps.shape == (6, 24, 40)
    assert maps.any()


@every
def test_inputs_of_twice_the_size(interpretation, images, targets, name):
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    explain = make(name, interpretation)
    maps = explain(large, targets)
    assert maps.shape == (6, 64, 64)
    assert maps.isfinite().all()
    assert maps.any()
    alike(explain(large[2:3], targets[2:3]), maps[2:3])


@every
def test_a_map_does_not_depend_on_the_rest_of_the_batch(interpretation, images, targets, name):
    explain = make(name, interpretation)
    together = explain(images, targets)
    for i in range(6):
        alike(explain(images[i : i + 1], targets[i : i + 1])[0], together[i])
    order = torch.tensor([4, 1, 5, 1, 0])  # one twice, two left out
    others = images[order].clone()
    others[2] *= 1000
    alike(explain(others, targets[order])[[0, 1, 3, 4]], together[order][[0, 1, 3, 4]])


@every
def test_the_same_again(interpretation, images, targets, name):
    explain = make(name, interpretation)
    first = explain(images, targets)
    torch.rand(3)
    assert torch.equal(explain(images, targets), first)
    assert torch.equal(make(name, interpretation)(images, targets), first)


@every
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_the_caller_has_no_gradients(interpretation, images, targets, name, mode):
    expected = make(name, interpretation)(images, targets)
    with mode():
        maps = make(name, interpretation)(images.clone(), targets.clone())  # tensors of that mode
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()
    alike(maps.clone(), expected)


@every
def test_images_with_a_graph_of_the_callers(interpretation, images, targets, name):
    """They are neither changed nor given a gradient."""
    expected, copy = make(name, interpretation)(images, targets), images.clone()
    source = images.clone().requires_grad_()
    alike(make(name, interpretation)(source * 1, targets).detach(), expected)
    make(name, interpretation)(images, targets)
    assert source.grad is None
    assert torch.equal(images, copy)
    assert not images.requires_grad


def state(net):
    parts = [
        (p.training, len(p._forward_hooks), len(p._forward_pre_hooks), len(p._backward_hooks)) for p in net.modules()
    ]
    return parts, [(p.requires_grad, p.grad) for p in net.parameters()], [p.detach().clone() for p in net.parameters()]


@every
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(interpretation, images, targets, name, fails):
    net = interpretation.classifier.model
    net.train()
    net.relu1.eval()
    net.conv1.weight.requires_grad_(False)
    *before, values = state(net)
    with pytest.raises(ModelError, match="channels") if fails else nullcontext():
        make(name, interpretation)(images[:, :1] if fails else images, targets)
    *after, now = state(net)
    assert after == before
    assert all(map(torch.equal, now, values))
    assert all(grad is None for _, grad in after[1])


@every
def test_a_network_that_is_frozen(interpretation, images, targets, name):
    expected = make(name, interpretation)(images, targets)
    interpretation.classifier.model.requires_grad_(False)
    alike(make(name, interpretation)(images, targets), expected)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_precision(interpretation, images, targets, name, dtype):
    expected = make(name, interpretation)(images, targets)
    interpretation.classifier.model.to(dtype)
    maps = make(name, interpretation)(images, targets)
    assert maps.dtype == torch.float32
    if dtype == torch.float64:
        alike(maps, expected)
    else:
        assert torch.corrcoef(torch.stack([maps.flatten(), expected.flatten()]))[0, 1] > 0.8


@every
def test_another_class_has_another_map(interpretation, images, name):
    explain = make(name, interpretation)
    maps = [explain(images, torch.full((6,), c)) for c in range(3)]
    for i in range(3):
        differ = (maps[i] - maps[i - 1]).abs().amax(dim=(1, 2))
        assert (differ > 0.01 * maps[i].abs().amax(dim=(1, 2))).sum() >= 4
    mixed = explain(images, torch.tensor([0, 1, 2, 0, 1, 2]))
    for i in range(6):
        alike(mixed[i], maps[i % 3][i])


@every
def test_indices_of_any_integer_type(interpretation, images, targets, name):
    assert torch.equal(make(name, interpretation)(images, targets.int()), make(name, interpretation)(images, targets))


@pytest.mark.parametrize("name", PLAIN)
def test_in_evaluation_mode(plain, images, targets, name):
    """Dropout is off, whatever mode the network is in."""
    expected = PLAIN[name](plain)(images, targets)
    plain.model.train()
    assert torch.equal(PLAIN[name](plain)(images, targets), expected)
    assert plain.model.drop.training


@pytest.mark.parametrize("kind", [GradCam, GradCamPlusPlus, LayerCam, FinerCam, ScoreCam, UpsampledActivations])
def test_unknown_interpolation(interpretation, kind):
    with pytest.raises(UsageError, match=r"'area'.*nearest, bilinear, bicubic"):
        kind(interpretation if kind is UpsampledActivations else interpretation.classifier, interpolation="area")


# --- the gradient of a class score ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
def test_score_gradient_written_out(plain, images, targets, rule, fix):
    literal = gradients_by_hand(plain.model, images, targets, rule, fix)
    same(score_gradient(plain, images, targets, rule=rule, stride_fix=fix).flatten(1, 2), literal.flatten(1, 2))


def test_the_plain_gradient_by_default(plain, images, targets):
    literal = gradients_by_hand(plain.model, images, targets)
    same(score_gradient(plain, images, targets).flatten(1, 2), literal.flatten(1, 2))


@pytest.mark.parametrize("options", [{"rule": "lrp"}, {"stride_fix": "blur"}])
def test_unknown_rule_or_stride_fix(plain, images, targets, options):
    with pytest.raises(UsageError, match="|".join(options.values())):
        score_gradient(plain, images, targets, **options)


def test_a_class_that_speaks_against_another(interpretation, images, targets):
    """A network of the negative scores has the negative gradient."""

    class Negative(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return -self.net(x)

    other = replace(interpretation.classifier, model=Negative(interpretation.classifier.model))
    alike(score_gradient(other, images, targets), -score_gradient(interpretation.classifier, images, targets))


def test_counts():
    check_counts(n_steps=1, cells=7)
    with pytest.raises(UsageError, match=r"cells is 0.*1 or more"):
        check_counts(n_steps=1, cells=0)
