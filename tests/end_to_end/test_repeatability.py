"""The benchmark of repeatability tells networks apart that are not the same."""

from pathlib import Path

import pytest
import torch
from support import load_script

FILE = Path(__file__).parents[2] / "benchmarks" / "repeatability.py"


@pytest.fixture
def benchmark(monkeypatch):
    return load_script(FILE, "repeatability", monkeypatch)


def test_differences_worked_out_by_hand(benchmark):
    first = {"a": torch.tensor([4.0, -2]), "b": torch.tensor([[0.5]]), "steps": torch.tensor(3)}
    other = {"a": torch.tensor([4.0, -1]), "b": torch.tensor([[0.4]]), "steps": torch.tensor(3)}
    assert benchmark.equal(first, first)
    assert not benchmark.equal(other, first)
    assert benchmark.relative_difference(first, first) == 0
    assert benchmark.relative_difference(other, first) == pytest.approx(1 / 4)  # of b it is 1 / 5


def test_rows(benchmark, squares, monkeypatch):
    """In processes of their own, in which a variable of the condition is set and others are not."""
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "nonsense")
    monkeypatch.setattr(benchmark, "CONDITIONS", dict(list(benchmark.CONDITIONS.items())[:3:2]))
    first, default = benchmark.measure(squares, 1, "flower-resnet")
    assert (first.condition, default.condition) == ("1 thread", "ATEN_CPU_CAPABILITY=default")
    assert first.repeated
    assert default.repeated
    assert first.equal_to_first
    assert first.largest_relative_difference == 0
    assert default.equal_to_first == (default.largest_relative_difference == 0)
    assert 0 <= first.accuracy <= 1
