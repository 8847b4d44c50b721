"""How a backward pass is read, against values by hand and a literal transcription."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vebi.activations.layers import Feature
from vebi.backprop.feature_maps import backprop_features, forward_graph
from vebi.backprop.readings import READINGS, blend_layers, contribution, even_out
from vebi.backprop.rules import rule_backward, rule_gradients
from vebi.errors import UsageError

FEATURES = [Feature("relu1", 2), Feature("relu", 3), Feature("relu", 0)]


def test_a_contribution_is_the_positive_part_of_value_times_gradient_over_all_channels():
    values = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    gradient = torch.tensor([[[[2.0, 1.0]], [[-0.5, 4.0]]]])
    assert contribution(values, gradient).tolist() == [[[0.5, 0.0]]]


def test_the_strongest_positions_count_alike_and_the_rest_by_its_root():
    maps = torch.zeros(3, 10, 10)
    maps[0, 0, :4] = torch.tensor([100.0, 9.0, 4.0, 1.0])
    maps[1, 3, 3] = 0.25  # fewer than three positions: the strongest has 1
    even = even_out(maps)
    assert even[0, 0, :5].tolist() == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert even[1, 3, 3] == 1
    assert even[2].sum() == 0
    small = even_out(torch.tensor([[[4.0, 1.0], [0.0, 16.0]]]))  # of few positions one
    assert small.tolist() == [[[0.5, 0.25], [0.0, 1.0]]]


def test_layers_count_alike_and_those_that_say_nothing_do_not():
    image = torch.tensor([[[4.0, 1.0], [0.0, 0.0]], [[9.0, 9.0], [9.0, 9.0]]])
    layer, silent = torch.tensor([[[4.0]], [[9.0]]]), torch.zeros(2, 1, 1)
    blend = blend_layers([image, layer, silent], (2, 2))
    detail = (1 + 0.5) / 4  # all pixels are within 3 x 3 of each other
    coverage = torch.tensor([[1.0, 0.75], [0.5, 0.5]])
    assert blend[0].numpy() == pytest.approx((coverage * detail).sqrt().numpy())
    assert blend[1].eq(1).all()
    assert not blend_layers([torch.zeros(1, 2, 2)], (4, 4)).any()
    assert blend_layers([torch.zeros(2, 2, 2), layer], (2, 2)).eq(1).all()  # an input of zeros says nothing


def literal(toy, image, feature, reading):
    """One feature of one image, with a graph and backward passes of its own."""
    with forward_graph(toy, image[None], ["relu1", "relu"]) as (x, recorder, _):
        seed = torch.zeros_like(recorder.records[feature.layer])
        seed[0, feature.channel] = recorder.records[feature.layer][0, feature.channel]
        start, options = recorder.gradient_edges[feature.layer], {"stride_fix": "centred", "pool_fix": True}
        at_image = rule_backward([start], [seed], x, **options)
        places = [(x.detach(), at_image)]
        if reading == "layers":
            at_feature = (recorder.records[feature.layer], seed)
            if feature.layer != "relu1":
                first = recorder.gradient_edges["relu1"]
                (gradient,) = rule_gradients([start], [seed], [first], rule="guided", **options)
                places.append((recorder.records["relu1"], gradient))
            places.append(at_feature)
    maps = []
    for values, gradient in places:
        r = (values * gradient).sum(dim=1)[0].clamp(min=0).detach().numpy()
        if reading == "contribution":
            return r
        high = np.sort(r.ravel())[-max(1, round(0.03 * r.size))]
        even = np.sqrt(np.minimum(1, r / (high or r.max()))) if r.max() > 0 else r
        large = F.interpolate(torch.from_numpy(even)[None, None], x.shape[2:], mode="bilinear", align_corners=False)
        maps += [large[0, 0].numpy()] if r.max() > 0 else []
    detail = np.pad(maps[0], 1, constant_values=np.nan)
    detail = np.nanmean([detail[dy : dy + 32, dx : dx + 32] for dy in range(3) for dx in range(3)], axis=0)
    return np.sqrt(np.mean(maps, axis=0) * detail)


@pytest.mark.parametrize("reading", ["contribution", "layers"])
def test_readings_of_features_equal_a_literal_transcription(toy, reading):
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with forward_graph(toy, images, ["relu1", "relu"]) as (x, recorder, _):
        maps = backprop_features(
            recorder, x, [FEATURES] * 3, rule="guided", stride_fix="centred", pool_fix=True, reading=reading
        )
    shown = 0
    for n, image in enumerate(images):
        for k, feature in enumerate(FEATURES):
            expected = literal(toy, image, feature, reading)
            assert maps[n][k] == pytest.approx(expected, rel=1e-4, abs=1e-4)
            shown += bool(expected.any())
    assert shown > 5


def test_another_reading_is_refused(toy):
    assert READINGS == ("gradient", "contribution", "layers")
    with forward_graph(toy, torch.zeros(1, 3, 32, 32), ["relu"]) as (x, recorder, _), pytest.raises(UsageError):
        backprop_features(recorder, x, [[]], rule="guided", stride_fix=None, reading="pixels")
