"""The experiment as a whole, on a handful of flowers; and the same on a user's own images."""

import json
import re
import warnings

import numpy as np
import pytest

from vebi.benchmark.built_in_methods import built_in_methods
from vebi.benchmark.custom import benchmark_model
from vebi.benchmark.paper_table1 import Plan, run_table1
from vebi.errors import InputError, UsageError, VebiWarning
from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.result import BenchmarkResult

TINY = Plan(images_per_class=5, folds=2, epochs=2, scored=1, mosaics=2, varied=1, tuned=1)
CUES = {"saturation", "silhouette", "border-distance", "edges", "sharpness", "centre", "random-blob"}
METHODS = built_in_methods()
NAMES = [method.name for method in METHODS]
WITH_BEST_CHOICES = [*NAMES, *(f"{method.name}-best" for method in METHODS if method.choices)]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    out = tmp_path_factory.mktemp("experiment") / "table1"
    with warnings.catch_warnings():  # a network that has seen 48 images leaves classes without features
        warnings.simplefilter("ignore", VebiWarning)  # a network that has seen 48 images warns
        return out, run_table1(out, TINY)


def test_the_table_is_complete(experiment):
    out, result = experiment
    table = json.loads((out / "table1.json").read_text())
    assert result.to_dict() == table
    assert BenchmarkResult.from_dict(table) == result
    for rows in (result.rows, result.transformed_rows):
        assert [(r.dataset, r.method) for r in rows] == [
            (variant, name) for variant in ("single-6c", "double-12c") for name in WITH_BEST_CHOICES
        ]
        for row in rows:
            assert len(row.auc_iou) == 2
            assert row.uses_network == (row.method not in CUES)
            assert row.ratio_interval is None  # of two networks
            assert row.mean == pytest.approx(np.mean(row.auc_iou))
            assert all(0 <= row.metrics[metric.name] <= 100 for metric in METRICS[1:])
    assert set(result.curves["single-6c"]) == set(WITH_BEST_CHOICES)
    assert len(result.curves["single-6c"]["vebi"]) == 101
    assert result.settings.plan["images_per_class"] == 5
    note = result.settings.data["double-12c"]
    assert note.images == (12, 12)
    assert len(note.networks) == 2
    assert 0 < note.mask_share < 30
    assert result.settings.versions["torch"]


def test_it_can_be_read_and_looked_at(experiment):
    out, result = experiment
    text, page = (out / "table1.md").read_text(), (out / "report.html").read_text()
    for row in result.rows:
        assert row.title in text
        assert row.title in page
        assert f"{row.mean:.1f}" in text
    assert "22.5" in text
    assert text.count("- Without any network, ") == 2
    assert text.count("- With the best choice of each, made on training images, ") == 2
    assert result.settings.methods["grad-cam-best"].startswith("layer relu")
    assert "2 networks are too few" in text
    assert "22.5" in page


def test_a_second_run_computes_nothing_again(experiment, monkeypatch):
    out, result = experiment

    def forbidden(*_, **__):
        raise AssertionError("computed resumed")

    monkeypatch.setattr("vebi.benchmark.runner.score", forbidden)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    stages = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)  # a network that has seen 48 images warns
        resumed = run_table1(out, TINY, progress=lambda stage, done, total: stages.append((stage, done, total)))
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert resumed.rows == result.rows
    assert resumed.sensitivity == result.sensitivity
    assert not [s for s in stages if s[0] == "descriptors"]
    everything = [(done, total) for stage, done, total in stages if stage == "everything"]
    assert everything[0][0] == 0
    assert everything[-1][0] == everything[-1][1]
    assert everything == sorted(everything)


def test_other_settings_do_not_go_into_the_same_folder(experiment):
    out, _ = experiment
    with pytest.raises(InputError, match=r"images_per_class 5.* 6"):
        run_table1(out, Plan(images_per_class=6, folds=2, epochs=2, scored=1, mosaics=2, varied=1))
    with pytest.raises(UsageError, match="folds is 6"):
        Plan(folds=6)


def test_own_images_with_masks(toy, squares, masks, tmp_path):
    result = benchmark_model(toy, squares, tmp_path / "bench", masks=masks, mu=1.0, per_class=4)
    assert [row.method for row in result.rows] == NAMES
    assert {row.dataset for row in result.rows} == {squares.name}
    assert all(row.std is row.grid_pointing is row.published is None for row in result.rows)
    assert result.settings.inference == "images"
    page = (tmp_path / "bench" / "report.html").read_text()
    assert "images of this one network" in page
    assert not re.search(r"(?<!=)\b(None|nan)\b", re.sub(r"<style>.*?</style>|data:[^\"]*", "", page, flags=re.S))
    table = json.loads((tmp_path / "bench" / "table.json").read_text())
    assert result.to_dict() == table
    assert BenchmarkResult.from_dict(table) == result
    assert (tmp_path / "bench" / "table.md").read_text().count("vebi")
