"""The experiment in a meadow as a whole, on a handful of flowers, and its intervals again without vebi."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from vebi.benchmark import NetworksPlan, run_table2
from vebi.errors import VebiWarning
from vebi.reports.benchmark_report.network_table import NetworkTable

PLAN = NetworksPlan(
    images=60,
    folds=2,
    seeds=2,
    epochs={variant: {"flowernet": 30} for variant in ("single-6c", "double-12c", "shape-6c")},
    fitted=48,
    scored=12,
    few=6,
    tuned=6,
    mosaics=1,
    checked=0,
)
INTERVALS = Path(__file__).parents[2] / "benchmarks" / "intervals.py"


@pytest.mark.slow
def test_the_experiment_in_a_meadow(tmp_path):
    with warnings.catch_warnings():  # networks that have seen 48 images know nothing, and fits say so
        warnings.simplefilter("ignore", VebiWarning)  # networks that have seen 48 images warn
        table = run_table2(tmp_path / "table2", PLAN)
    stored = json.loads((tmp_path / "table2/table2.json").read_text())
    assert NetworkTable.from_dict(stored).rows == table.rows
    assert {row["variant"] for row in stored["rows"]} == {"single-6c", "double-12c", "shape-6c"}
    row = stored["rows"][0]
    assert len(row["auc_iou"]) == 4
    assert {
        "scene",
        "architecture",
        "uses_network",
        "ratio_to_default",
        "ratio_interval",
        "randomisation",
        "empty",
    } <= set(row)
    scores = np.load(tmp_path / "table2/table2.npz")
    assert scores["single-6c/flowernet/grad-cam-best/auc_iou"].shape == (4, 12)
    assert scores["shape-6c/flowernet/folds"].tolist() == [0, 1, 0, 1]
    names = scores["shape-6c/flowernet/images"][0].split()
    assert len(names) == 12
    assert scores["shape-6c/flowernet/targets"].shape == (4, 12)
    text = (tmp_path / "table2/table2.md").read_text()
    assert "without a network" in text
    assert "Grad-CAM, best choice" in (tmp_path / "table2/report.html").read_text()
    # of 12 images two bootstraps lie far apart: means, and whether p and interval say the same, are what counts here
    command = [sys.executable, str(INTERVALS), str(tmp_path / "table2/table2"), "inf"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert int(checked.stdout.split()[0]) > 100
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("scores.safetensors")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VebiWarning)  # networks that have seen 48 images warn
        assert run_table2(tmp_path / "table2", PLAN).rows == table.rows
    assert before == {path: path.stat().st_mtime_ns for path in before}
