"""The benchmark of the solver says what it promises; how fast it is nobody tests."""

import importlib.util
from pathlib import Path

import pytest
from support import load_script

FILE = Path(__file__).parents[2] / "benchmarks" / "lasso.py"
KEYS = {
    "size", "solver", "classes", "seconds_per_class", "max_relative_gap", "median_knots", "median_nonzeros", "peak_mib",
}  # fmt: skip


@pytest.fixture
def benchmark(monkeypatch):
    return load_script(FILE, "lasso_benchmark", monkeypatch)


def test_rows(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "SIZES", {300: (600, 4)})
    monkeypatch.setattr(benchmark, "RIVALS", tuple(r for r in benchmark.RIVALS if importlib.util.find_spec(
        {"sklearn_lars": "sklearn"}.get(r[0].__name__, r[0].__name__)
    )))  # fmt: skip
    rows = {row["solver"]: row for row in benchmark.measure(300, 5.0)}
    assert {"sums (once)", "vebi, all classes at once", "vebi", "sklearn-lars"} <= set(rows)
    assert all(set(row) == KEYS and row["size"] == 300 for row in rows.values())
    for name in ("vebi, all classes at once", "vebi", "sklearn-lars"):
        assert rows[name]["max_relative_gap"] <= 1e-9
        assert rows[name]["classes"] == 4
        assert rows[name]["median_knots"] >= rows[name]["median_nonzeros"] >= 1
    assert rows["vebi"]["median_nonzeros"] == rows["sklearn-lars"]["median_nonzeros"]
    assert all(row["peak_mib"] > 10 for row in rows.values())


def test_the_descriptors_are_as_real_ones(benchmark):
    (name, x, labels), *_ = benchmark.chunks(512, 50, 5)
    assert name == "chunk-0"
    assert x.shape == (50, 512)
    assert (x >= 0).all()
    assert (labels.sum(axis=1) == 1).all()
    assert (x**2).sum(axis=1) == pytest.approx(1)
    halves = x[:, :256].sum(axis=1), x[:, 256:].sum(axis=1)
    assert halves[0] == pytest.approx(halves[1])  # two layers, each divided by its sum
    assert 0.1 < (x == 0).mean() < 0.9
