import numpy as np
import pytest

from vebi.benchmark.mosaics import draw_mosaics, takes_larger
from vebi.benchmark.network_scores import EMPTY, SPARSENESS, ScoredImages, score_network
from vebi.benchmark.scoring import score
from vebi.methods import GradCam
from vebi.metrics import METRICS


@pytest.fixture(scope="module")
def images(truth):
    full_size = takes_larger(truth.classifier)
    mosaics = draw_mosaics(truth, 0, 0, full_size)
    return ScoredImages(truth, truth.thin_rows(1), mosaics, full_size)


def test_scores_of_maps_are_those_of_the_other_tables(images):
    explainer = GradCam(images.truth.classifier)
    scores, other = score_network(explainer, images, perturbs=False), score(explainer, images.truth)
    for metric in METRICS:
        assert scores[metric.name] == pytest.approx(other[f"raw.{metric.name}"], abs=1e-6)
    assert (scores[EMPTY] == 0).all()
    assert ((scores[SPARSENESS] > 0) & (scores[SPARSENESS] < 1)).all()


def test_curves_are_measured_on_few_images_and_what_asks_often_on_no_others(images):
    explainer = GradCam(images.truth.classifier)
    scores, slow = (score_network(explainer, images, perturbs=flag) for flag in (False, True))
    few = np.isin(np.arange(len(images.truth)), images.few)
    for name in ("deletion_blur", "deletion_grey", "insertion_blur", "insertion_grey"):
        assert (np.isfinite(scores[name]) == few).all()
        assert scores[name][few] == pytest.approx(slow[name][few])
    assert (np.isfinite(slow["auc_iou"]) == few).all()
    assert slow["auc_iou"][few] == pytest.approx(scores["auc_iou"][few])
    assert "grid_pointing" in scores
    assert "grid_pointing" not in slow


def test_empty_maps_are_counted(images):
    scores = score_network(lambda x, _: x.new_zeros(len(x), *x.shape[2:]), images, perturbs=False)
    assert (scores[EMPTY] == 1).all()
    assert np.isnan(scores[SPARSENESS]).all()
