"""Scores of networks made by hand -> rows, and the table that they are read from."""

import json

import numpy as np
import pytest

from vebi.benchmark.network_experiment import NetworkResult
from vebi.benchmark.network_rows import make_network_rows
from vebi.reports.benchmark_report.network_markdown import render_network_markdown
from vebi.reports.benchmark_report.network_table import Cell, NetworkTable, on_all_images

CURVES = ("deletion_blur", "deletion_grey", "insertion_blur", "insertion_grey")
AREAS = {"vebi": 0.2, "grad-cam": 0.4, "rise": 0.3, "saturation": 0.1}


def network(seed, checked):
    rng = np.random.default_rng(seed)
    scores = {}
    for method, area in AREAS.items():
        values = area + 0.01 * rng.random(20)
        if method == "rise":
            values[5:] = np.nan
        scores[method] = {
            "auc_iou": values,
            "empty": np.array([1.0, *[0.0] * 19]),
            "sparseness": np.full(20, 0.5),
            **dict.fromkeys(CURVES, np.array([0.25] + [np.nan] * 19)),
        }
        if method != "rise":
            scores[method]["grid_pointing"] = np.full(4, 0.6)
        if checked and method == "grad-cam":
            scores[method] |= {
                "sanity.1.rank_correlation": np.array([0.5, np.nan]),
                "sanity.1.structural_similarity": np.array([0.25, np.nan]),
                "sanity.1.empty": np.array([0.0, 1.0]),
                "sanity.empty": np.array([0.0, 0.0]),
            }
    titles = {"vebi": "vebi", "grad-cam": "Grad-CAM", "rise": "RISE", "saturation": "saturation"}
    described, count = {m: f"{m}()" for m in titles}, len(scores["vebi"]["auc_iou"])
    names, targets = [f"image {k}" for k in range(count)], [0] * count
    return NetworkResult(seed % 3, seed, 0.98, "a" * 64, None, 0.1, names, targets, scores, titles, described)


@pytest.fixture(scope="module")
def rows():
    networks = [network(seed, seed == 0) for seed in range(6)]
    return make_network_rows("single-6c", "meadow", "flowernet", networks, ["saturation"])


def test_a_row_has_a_mean_per_network_and_a_ratio_to_the_default(rows):
    by_name = {row.method: row for row in rows}
    assert list(by_name) == list(AREAS)
    grad_cam = by_name["grad-cam"]
    assert len(grad_cam.auc_iou) == 6
    assert grad_cam.mean == pytest.approx(np.mean(grad_cam.auc_iou))
    assert grad_cam.mean == pytest.approx(40.5, abs=0.2)
    assert grad_cam.ratio_to_default == pytest.approx(40.5 / 20.5, rel=0.01)
    low, high = grad_cam.ratio_interval
    assert 1.9 < low < grad_cam.ratio_to_default < high < 2.05
    assert grad_cam.p < 0.05
    assert by_name["vebi"].ratio_to_default == 1
    assert by_name["vebi"].p is None
    assert [row.uses_network for row in rows] == [True, True, True, False]


def test_what_was_not_measured_is_left_out_and_never_zero(rows):
    by_name = {row.method: row for row in rows}
    assert by_name["rise"].images == (5,) * 6
    assert by_name["rise"].grid_pointing is None
    assert by_name["grad-cam"].grid_pointing == pytest.approx(60)
    assert by_name["grad-cam"].deletion == pytest.approx(25)
    assert by_name["grad-cam"].empty == pytest.approx(5)
    assert by_name["grad-cam"].randomisation == {"1": 0.5, "2": None, "3": None, "all": None}
    assert by_name["grad-cam"].sanity["1"] == {"rank_correlation": 0.5, "structural_similarity": 0.25, "empty": 0.5}
    assert by_name["vebi"].sanity == {}


def test_the_table_is_read_as_it_was_written_and_says_how_far_an_image_alone_gets(rows):
    cell = Cell(
        "single-6c",
        "meadow",
        "flowernet",
        "d" * 64,
        10.0,
        (0, 1, 2) * 2,
        (0, 0, 0, 1, 1, 1),
        (98.0,) * 6,
        ("a",) * 6,
        1,
    )
    table = NetworkTable(
        tuple(rows), (cell,), {"scored": 20, "few": 1}, {"vebi": "0"}, 2, "c" * 64, "2026-01-02T03:04:05+00:00"
    )
    assert NetworkTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table
    text = render_network_markdown(table)
    assert "the highest area on all images is that of Grad-CAM, 40.5. Without a network" in text
    assert "saturation reaches 10.5, 26 % of that (at most half of it)" in text
    assert "vebi has 20.5, and none of 1 maps without a network is above it" in text
    assert "of 2 other methods, each by its better row, 2 are ahead of it and 0 behind, the interval" in text
    assert "| RISE, on fewer images " in text
    assert "6 networks (3 folds x 2 seeds), held-out accuracy 98.0 %" in text
    assert "0.50 / 0.25 (50 % empty)" in text


def test_a_row_on_fewer_images_is_not_ranked_but_compared_on_the_images_that_all_have(rows):
    assert [row.method for row in on_all_images(rows)] == ["vebi", "grad-cam", "saturation"]
    by_name = {row.method: row for row in rows}
    assert {row.shared_images for row in rows} == {6 * 5}
    assert by_name["rise"].shared_mean == pytest.approx(by_name["rise"].mean)
    assert by_name["grad-cam"].shared_mean == pytest.approx(
        100 * np.mean([network(seed, False).scores["grad-cam"]["auc_iou"][:5].mean() for seed in range(6)])
    )


def test_other_scores_have_their_deviation_over_networks():
    networks = [network(seed, False) for seed in range(3)]
    for k, one in enumerate(networks):
        one.scores["grad-cam"] |= {"average_precision": np.full(20, 0.5 + k / 10), "pointing_game": np.full(20, np.nan)}
    by_name = {row.method: row for row in make_network_rows("v", "meadow", "a", networks, [])}
    assert by_name["grad-cam"].metrics["average_precision"] == pytest.approx(60)
    assert by_name["grad-cam"].deviations["average_precision"] == pytest.approx(10)
    assert by_name["grad-cam"].metrics["pointing_game"] is None
    assert by_name["grad-cam"].deviations["pointing_game"] is None
    assert by_name["grad-cam"].deviations["grid_pointing"] == 0
    assert by_name["vebi"].metrics["average_precision"] is None
    (alone,) = (r for r in make_network_rows("v", "meadow", "a", networks[:1], []) if r.method == "grad-cam")
    assert alone.deviations["average_precision"] is None


def test_rows_follow_an_order_and_best_choices_their_defaults():
    one = network(0, False)
    for best in ("vebi-best", "grad-cam-best", "unknown"):
        one.scores[best] = one.scores["saturation"]
        one.titles[best] = one.described[best] = best
    rows = make_network_rows("v", "meadow", "a", [one], [], ["vebi", "saturation", "grad-cam", "rise"])
    names = ["vebi", "vebi-best", "saturation", "grad-cam", "grad-cam-best", "rise", "unknown"]
    assert [row.method for row in rows] == names
