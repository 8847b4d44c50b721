"""The experiment as a whole, on a handful of flowers; and the same on a user's own pictures."""

import json
import re
import warnings

import numpy as np
import pytest

from vebi.benchmark.custom import contest
from vebi.benchmark.methods import built_in
from vebi.benchmark.table1 import Plan, table1
from vebi.errors import InputError, UsageError, VebiWarning
from vebi.metrics.registry import METRICS

TINY = Plan(images_per_class=5, folds=2, epochs=2, scored=1, mosaics=2, varied=1)
NAMES = [method.name for method in built_in()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("experiment") / "table1"
    with warnings.catch_warnings():  # a network that has seen 48 pictures leaves classes without features
        warnings.simplefilter("ignore", VebiWarning)
        return out, table1(out, TINY)


def test_the_table_is_complete(made):
    out, found = made
    assert found == json.loads((out / "table1.json").read_text())
    for rows in (found["rows"], found["transformed_rows"]):
        assert [(r["variant"], r["method"]) for r in rows] == [
            (variant, name) for variant in ("single-6c", "double-12c") for name in NAMES
        ]
        for row in rows:
            assert len(row["auc_iou"]) == 2 and row["mean"] == pytest.approx(np.mean(row["auc_iou"]))
            assert all(0 <= row[metric.name] <= 100 for metric in METRICS[1:])
    assert set(found["curves"]["single-6c"]) == set(NAMES) and len(found["curves"]["single-6c"]["vebi"]) == 101
    assert found["settings"]["plan"]["images_per_class"] == 5
    held = found["settings"]["data"]["double-12c"]
    assert held["pictures"] == [12, 12] and len(held["networks"]) == 2 and 0 < held["whole_picture"] < 30
    assert found["settings"]["versions"]["torch"]


def test_it_can_be_read_and_looked_at(made):
    out, found = made
    text, page = (out / "table1.md").read_text(), (out / "report.html").read_text()
    for row in found["rows"]:
        assert row["title"] in text and row["title"] in page
        assert f"{row['mean']:.1f}" in text
    assert "22.5" in text and "22.5" in page  # the published figure stands beside ours


def test_a_second_run_computes_nothing_again(made, monkeypatch):
    out, found = made

    def forbidden(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr("vebi.benchmark.runner.score", forbidden)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    stages = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)
        again = table1(out, TINY, progress=lambda stage, done, total: stages.append((stage, done, total)))
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert again["rows"] == found["rows"] and again["sensitivity"] == found["sensitivity"]
    assert not [s for s in stages if s[0] == "descriptors"]
    everything = [(done, total) for stage, done, total in stages if stage == "everything"]
    assert everything[0][0] == 0 and everything[-1][0] == everything[-1][1] and everything == sorted(everything)


def test_other_settings_do_not_go_into_the_same_folder(made):
    out, _ = made
    with pytest.raises(InputError, match="holds a data set with images_per_class 5, not 6"):
        table1(out, Plan(images_per_class=6, folds=2, epochs=2, scored=1, mosaics=2, varied=1))
    with pytest.raises(UsageError, match="folds is 6"):
        Plan(folds=6)


def test_own_pictures_with_masks(toy, squares, masks, tmp_path):
    found = contest(toy, squares, tmp_path / "bench", masks=masks, mu=1.0, per_class=4)
    assert [row["method"] for row in found["rows"]] == NAMES
    assert {row["variant"] for row in found["rows"]} == {squares.name}
    assert all(row["std"] is row["grid_pointing"] is row["published"] is None for row in found["rows"])
    page = (tmp_path / "bench" / "report.html").read_text()
    assert not re.search(r"(?<!=)\b(None|nan)\b", re.sub(r"<style>.*?</style>|data:[^\"]*", "", page, flags=re.S))
    assert found == json.loads((tmp_path / "bench" / "table.json").read_text())
    assert (tmp_path / "bench" / "table.md").read_text().count("vebi")


def test_pictures_without_masks_are_an_error(toy, squares, tmp_path):
    with pytest.raises(InputError, match="has no masks beside its pictures"):
        contest(toy, squares, tmp_path / "bench")
    assert not (tmp_path / "bench" / "run").exists()
