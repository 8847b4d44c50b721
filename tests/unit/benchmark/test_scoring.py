import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from vebi.backprop import heatmaps
from vebi.benchmark.scoring import FORMS, as_maps, score
from vebi.errors import ModelError
from vebi.metrics.iou import iou_curve
from vebi.metrics.registry import METRICS


def noise(images, targets):
    """Made of the picture and the class alone, as a map must be; partly negative."""
    return images.mean(dim=1) * (targets[:, None, None] + 1) - 0.3


def test_the_truth_itself_scores_best(truth):
    places = {tuple(truth.inputs([n]).flatten()[:50].tolist()): n for n in range(len(truth))}

    def perfect(images, targets):
        return torch.stack([truth.masks[places[tuple(x.flatten()[:50].tolist())]] for x in images]).float() * 7

    found = score(perfect, truth, batch_size=5)
    for metric in METRICS:
        np.testing.assert_allclose(found[f"raw.{metric.name}"], 1 if metric.name != "auc_iou" else found["raw.auc_iou"])
    share = truth.masks.float().mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(found["raw.auc_iou"], (100 + share) / 101, rtol=1e-5)  # at t = 0 all pixels count


def test_scores_are_those_of_the_positive_part(truth):
    found = score(noise, truth)
    maps = noise(truth.inputs(range(12)), torch.from_numpy(truth.targets)).clamp(min=0)
    for n in range(12):
        expected = average_precision_score(truth.masks[n].flatten(), maps[n].flatten())
        assert found["raw.average_precision"][n] == pytest.approx(expected, abs=1e-5)
        assert found["raw.relevance_mass"][n] == pytest.approx(
            float(maps[n][truth.masks[n]].sum() / maps[n].sum()), rel=1e-5
        )
    scaled = torch.from_numpy(heatmaps.rescale(maps.numpy()))
    curve = iou_curve(scaled, truth.masks, torch.linspace(0, 1, 101))
    np.testing.assert_allclose(found["raw.curve"], curve.mean(dim=0), rtol=1e-5)
    np.testing.assert_allclose(found["raw.curve"].mean(), found["raw.auc_iou"].mean(), rtol=1e-5)


def test_the_transformed_form_is_of_transformed_maps(truth):
    found = score(noise, truth)
    maps = noise(truth.inputs(range(12)), torch.from_numpy(truth.targets)).clamp(min=0)
    again = torch.from_numpy(heatmaps.common_transform(maps.numpy()))
    expected = iou_curve(again, truth.masks, torch.linspace(0, 1, 101)).mean(dim=1)
    np.testing.assert_allclose(found["transformed.auc_iou"], expected, rtol=1e-5)


def test_batches_and_scale_change_nothing(truth):
    found = score(noise, truth, batch_size=32)
    assert set(found) == {f"{form}.{name}" for form in FORMS for name in [*(m.name for m in METRICS), "curve"]}
    for other in (score(noise, truth, batch_size=1), score(lambda x, t: 1000 * noise(x, t), truth)):
        for name, values in found.items():
            np.testing.assert_allclose(other[name], values, atol=2e-4, err_msg=name)


def test_a_map_of_zeros_is_scored_and_not_nan(truth):
    found = score(lambda x, t: -torch.ones(len(x), 32, 32), truth)
    share = truth.masks.float().mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(found["raw.auc_iou"], share / 101, rtol=1e-5)
    np.testing.assert_allclose(found["raw.relevance_mass"], 0)
    np.testing.assert_allclose(found["raw.pointing_game"], share, rtol=1e-5)


def test_arrays_and_other_floats_are_maps_too():
    images = torch.zeros(2, 3, 4, 5)
    for maps in (np.ones((2, 4, 5)), torch.ones(2, 4, 5, dtype=torch.float64), torch.ones(2, 4, 5, requires_grad=True)):
        found = as_maps(maps, images)
        assert found.dtype == torch.float32 and found.shape == (2, 4, 5) and not found.requires_grad


@pytest.mark.parametrize(
    "wrong, said",
    [
        (torch.ones(2, 1, 4, 5), r"an array of shape \(2, 1, 4, 5\)"),
        (np.ones((4, 5)), r"an array of shape \(4, 5\)"),
        ([1, 2], "a list"),
        (None, "a NoneType"),
        (torch.full((2, 4, 5), torch.nan), "NaN or infinity"),
    ],
)
def test_what_is_no_map_is_an_error(wrong, said):
    with pytest.raises(ModelError, match=said):
        as_maps(wrong, torch.zeros(2, 3, 4, 5))
