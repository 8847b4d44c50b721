import numpy as np
import pytest

from vebi.benchmark.make_rows import PUBLISHED, make_curves, make_rows
from vebi.benchmark.methods import Method
from vebi.benchmark.runner import FoldScores
from vebi.benchmark.statistics import compare
from vebi.metrics.registry import METRICS

VEBI, OTHER = Method("vebi", "vebi", lambda i: None, True), Method("grad-cam", "Grad-CAM", lambda i: None, True)


def fold_of(ours, theirs, aim=None):
    """A fold in which every metric has the same scores."""

    def scores(values):
        arrays = {f"{form}.{m.name}": np.array(values) for form in ("raw", "transformed") for m in METRICS}
        arrays |= {"raw.curve": np.linspace(1, 0, 101), "transformed.curve": np.zeros(101)}
        return arrays if aim is None else arrays | {"grid_pointing": np.array(aim)}

    return FoldScores({"vebi": scores(ours), "grad-cam": scores(theirs)}, len(ours), len(aim or []), True, 1.0, 0.1, {})


def test_rows_by_hand():
    folds = [fold_of([0.4, 0.6], [0.2, 0.3], [0.5, 0.7]), fold_of([0.7, 0.7], [0.3, 0.4], [0.3])]
    ours, theirs = make_rows("single-6c", folds, [VEBI, OTHER], "raw", PUBLISHED["single-6c"])
    assert ours.auc_iou == pytest.approx([50, 70])
    assert ours.mean == pytest.approx(60)
    assert ours.std == pytest.approx(np.sqrt(200))
    assert theirs.auc_iou == pytest.approx([25, 35])
    assert theirs.ratio == pytest.approx(2)
    assert (ours.ratio, ours.p) == (1, None)
    assert theirs.ratio_interval is ours.ratio_interval is None  # two networks tell none
    assert 0.05 < theirs.p < 1
    assert ours.uses_network
    assert theirs.grid_pointing == pytest.approx(45)  # mean of 60 and 30
    assert theirs.published == (17.5, 0.25)
    assert ours.published is None  # what is printed is of vebi as in the paper
    assert PUBLISHED["single-6c"]["vebi-paper"] == (22.5, 0.82)
    assert theirs.metrics["best_iou"] == pytest.approx(30)


def test_ratio_interval_and_p_are_of_one_comparison():
    folds = [fold_of([0.4, 0.6], [0.1 * k, 0.3], [0.2 * k]) for k in range(1, 6)]
    _, row = make_rows("mine", folds, [VEBI, OTHER], "raw")
    comparison = compare([np.array([0.4, 0.6])] * 5, [np.array([0.1 * k, 0.3]) for k in range(1, 6)])
    assert (row.ratio, *row.ratio_interval, row.p) == (
        comparison.ratio,
        comparison.low,
        comparison.high,
        comparison.p,
    )
    assert row.grid_pointing_ratio == (1, 1, 1)
    _, row = make_rows("mine", folds[:1], [VEBI, OTHER], "raw")  # one network: its images
    assert row.ratio_interval == pytest.approx((0.4 / 0.1, 0.6 / 0.3)[::-1])


def test_images_without_a_score_are_left_out():
    folds = [fold_of([0.4, 0.8], [0.2, np.nan]), fold_of([0.7, 0.7], [0.3, 0.4])]
    ours, theirs = make_rows("mine", folds, [VEBI, OTHER], "raw")
    assert ours.auc_iou == pytest.approx((60, 70))
    assert theirs.auc_iou == pytest.approx((20, 35))
    assert theirs.metrics["best_iou"] == pytest.approx(27.5)
    assert theirs.ratio == pytest.approx((0.4 + 0.7) / (0.2 + 0.35))


def test_a_map_without_a_network_is_marked():
    cue = Method("grad-cam", "no network at all", lambda i: None, uses_network=False)
    assert [row.uses_network for row in make_rows("mine", [fold_of([0.4], [0.2])], [VEBI, cue], "raw")] == [True, False]


def test_one_fold_has_no_deviation_and_few_classes_no_mosaics():
    (row, _) = make_rows("mine", [fold_of([0.4, 0.6], [0.2, 0.3])], [VEBI, OTHER], "transformed")
    assert (row.std, row.grid_pointing, row.published) == (None, None, None)


def test_a_fold_without_mosaics_does_not_count_for_them():
    folds = [fold_of([0.4, 0.6], [0.2, 0.3]), fold_of([0.7, 0.7], [0.3, 0.4], [0.3])]
    assert make_rows("mine", folds, [OTHER, VEBI], "raw")[0].grid_pointing == pytest.approx(30)


def test_aims_have_a_ratio_with_an_interval_too():
    folds = [fold_of([0.4], [0.2], [0.5, 0.7]), fold_of([0.4], [0.2], [0.3])]
    ours, theirs = make_rows("mine", folds, [VEBI, OTHER], "raw")
    assert ours.grid_pointing_ratio == theirs.grid_pointing_ratio == (1, None, None)  # of two networks
    nothing = [fold_of([0.4], [0.2], [0.5])]
    nothing[0].scores["grad-cam"]["grid_pointing"] = np.zeros(1)
    assert make_rows("mine", nothing, [VEBI, OTHER], "raw")[1].grid_pointing_ratio == (None,) * 3


def test_a_method_that_was_left_out_has_no_row():
    absent = Method("layer-cam", "LayerCAM", lambda i: None)
    folds = [fold_of([0.4], [0.2])]
    assert [r.method for r in make_rows("mine", folds, [VEBI, absent, OTHER], "raw")] == ["vebi", "grad-cam"]
    assert set(make_curves(folds, [VEBI, absent], "raw")) == {"vebi"}


def test_curves_are_means_over_folds():
    folds = [fold_of([0.4], [0.2]), fold_of([0.7], [0.3])]
    assert make_curves(folds, [VEBI], "raw") == {"vebi": pytest.approx(tuple((100 * np.linspace(1, 0, 101)).tolist()))}
