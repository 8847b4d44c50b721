import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.common_transform import common_transform
from vebi.benchmark.scoring import FORMS, as_maps, score
from vebi.errors import ModelError
from vebi.metrics.iou import iou_curve
from vebi.metrics.registry import METRICS


def noise(images, targets):
    """Made of the image and the class alone, as a map must be; partly negative."""
    return images.mean(dim=1) * (targets[:, None, None] + 1) - 0.3


def test_the_truth_itself_scores_best(truth):
    rows = {tuple(truth.inputs([n]).flatten()[:50].tolist()): n for n in range(len(truth))}

    def perfect(images, targets):
        return torch.stack([truth.masks[rows[tuple(x.flatten()[:50].tolist())]] for x in images]).float() * 7

    scores = score(perfect, truth, batch_size=5)
    for metric in METRICS:
        np.testing.assert_allclose(
            scores[f"raw.{metric.name}"], 1 if metric.name != "auc_iou" else scores["raw.auc_iou"]
        )
    share = truth.masks.float().mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(scores["raw.auc_iou"], (100 + share) / 101, rtol=1e-5)  # at t = 0 all pixels count


def test_scores_are_those_of_the_positive_part(truth):
    scores = score(noise, truth)
    maps = noise(truth.inputs(range(12)), torch.from_numpy(truth.targets)).clamp(min=0)
    for n in range(12):
        expected = average_precision_score(truth.masks[n].flatten(), maps[n].flatten())
        assert scores["raw.average_precision"][n] == pytest.approx(expected, abs=1e-5)
        assert scores["raw.relevance_mass"][n] == pytest.approx(
            float(maps[n][truth.masks[n]].sum() / maps[n].sum()), rel=1e-5
        )
    scaled = torch.from_numpy(rescale(maps.numpy()))
    curve = iou_curve(scaled, truth.masks, torch.linspace(0, 1, 101))
    np.testing.assert_allclose(scores["raw.curve"], curve.mean(dim=0), rtol=1e-5)
    np.testing.assert_allclose(scores["raw.curve"].mean(), scores["raw.auc_iou"].mean(), rtol=1e-5)


def test_the_transformed_form_is_of_transformed_maps(truth):
    scores = score(noise, truth)
    maps = noise(truth.inputs(range(12)), torch.from_numpy(truth.targets)).clamp(min=0)
    transformed = torch.from_numpy(common_transform(maps.numpy()))
    expected = iou_curve(transformed, truth.masks, torch.linspace(0, 1, 101)).mean(dim=1)
    np.testing.assert_allclose(scores["transformed.auc_iou"], expected, rtol=1e-5)


def test_batches_and_scale_change_nothing(truth):
    scores = score(noise, truth, batch_size=32)
    assert set(scores) == {f"{form}.{name}" for form in FORMS for name in [*(m.name for m in METRICS), "curve"]}
    for other in (score(noise, truth, batch_size=1), score(lambda x, t: 1000 * noise(x, t), truth)):
        for name, values in scores.items():
            np.testing.assert_allclose(other[name], values, atol=2e-4, err_msg=name)


def test_a_map_of_zeros_is_scored_and_not_nan(truth):
    scores = score(lambda x, t: -torch.ones(len(x), 32, 32), truth)
    share = truth.masks.float().mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(scores["raw.auc_iou"], share / 101, rtol=1e-5)
    np.testing.assert_allclose(scores["raw.relevance_mass"], 0)
    np.testing.assert_allclose(scores["raw.pointing_game"], share, rtol=1e-5)


def test_arrays_and_other_floats_are_maps_too():
    images = torch.zeros(2, 3, 4, 5)
    for maps in (np.ones((2, 4, 5)), torch.ones(2, 4, 5, dtype=torch.float64), torch.ones(2, 4, 5, requires_grad=True)):
        checked = as_maps(maps, images)
        assert checked.dtype == torch.float32
        assert checked.shape == (2, 4, 5)
        assert not checked.requires_grad


@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        (torch.ones(2, 1, 4, 5), r"shape \(2, 1, 4, 5\).*shape \(2, 4, 5\)"),
        (np.ones((4, 5)), r"shape \(4, 5\)"),
        ([1, 2], "list"),
        (None, "NoneType"),
        (torch.full((2, 4, 5), torch.nan), "NaN"),
    ],
)
def test_what_is_no_map_is_an_error(wrong, fact):
    with pytest.raises(ModelError, match=fact):
        as_maps(wrong, torch.zeros(2, 3, 4, 5))
