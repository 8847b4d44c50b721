"""The grid pointing game against values worked out by hand."""

import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.errors import UsageError
from vebi.metrics.pointing import grid_pointing

MAPS = arrays(np.float32, (3, 4, 6), elements=st.integers(0, 8).map(float))
CELLS = st.lists(st.integers(0, 5), min_size=3, max_size=3).map(torch.tensor)


def test_by_hand():
    heat = torch.tensor([[1.0, 2, 0, 0, 0, 5], [3, 0, 4, 0, 5, 0]])[None]  # cells of 1 x 2: 3 0 5 / 3 4 5
    scores = [grid_pointing(heat, 2, 3, torch.tensor([cell])).item() for cell in range(6)]
    assert scores == pytest.approx([3 / 20, 0, 5 / 20, 3 / 20, 4 / 20, 5 / 20])
    assert grid_pointing(heat, 1, 2, torch.tensor([1])).item() == pytest.approx(10 / 20)
    assert grid_pointing(heat, 2, 1, torch.tensor([0])).item() == pytest.approx(8 / 20)
    assert grid_pointing(heat, 1, 1, torch.tensor([0])).item() == 1


def test_special_maps():
    cell = torch.tensor([3])
    perfect = torch.zeros(1, 4, 6)
    perfect[0, 2:, 3:] = 0.3
    assert grid_pointing(perfect, 2, 2, cell).item() == pytest.approx(1)
    assert grid_pointing(0.3 - perfect, 2, 2, cell).item() == 0
    assert grid_pointing(torch.zeros(1, 4, 6), 2, 2, cell).item() == 0
    assert grid_pointing(torch.full((1, 4, 6), 0.7), 2, 2, cell).item() == pytest.approx(1 / 4)
    assert grid_pointing(torch.full((1, 4, 6), 0.7), 2, 3, cell).item() == pytest.approx(1 / 6)
    assert grid_pointing(torch.full((1, 4, 6), 3e38), 2, 2, cell).item() == pytest.approx(1 / 4)  # the sum overflows
    assert grid_pointing(torch.zeros(0, 4, 6), 2, 2, cell[:0]).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(maps=MAPS, cells=CELLS, order=st.permutations(range(3)), factor=st.floats(1e-30, 1e30))
def test_laws(maps, cells, order, factor):
    maps = torch.from_numpy(maps)
    scores = grid_pointing(maps, 2, 3, cells)
    assert scores.shape == (3,)
    assert ((scores >= 0) & (scores <= 1)).all()
    torch.testing.assert_close(grid_pointing(maps[order], 2, 3, cells[order]), scores[order])
    torch.testing.assert_close(grid_pointing(factor * maps, 2, 3, cells), scores)
    for i in range(3):
        torch.testing.assert_close(grid_pointing(maps[i : i + 1], 2, 3, cells[i : i + 1]), scores[i : i + 1])
    every = sum(grid_pointing(maps, 2, 3, torch.full((3,), cell)) for cell in range(6))
    torch.testing.assert_close(every, (maps.amax(dim=(1, 2)) > 0).float())


def test_cells_of_any_integer_type():
    maps = torch.rand(2, 4, 6)
    expected = grid_pointing(maps, 2, 3, torch.tensor([5, 1]))
    assert torch.equal(grid_pointing(maps, 2, 3, torch.tensor([5, 1], dtype=torch.int32)), expected)


@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (2, 4), (0, 2), (2, 0), (-2, 2), (8, 6)])
def test_a_grid_that_does_not_divide_the_maps(rows, columns):
    with pytest.raises(UsageError, match=f"4 x 6 .* {rows} x {columns} "):
        grid_pointing(torch.rand(1, 4, 6), rows, columns, torch.tensor([0]))


@pytest.mark.parametrize("cells", [[0, 4], [-1, 3]])
def test_cells_outside_the_grid(cells):
    with pytest.raises(UsageError, match=rf"{min(cells)} to {max(cells)}\b.* 0 to 3\b"):
        grid_pointing(torch.rand(2, 4, 6), 2, 2, torch.tensor(cells))


def test_bad_maps():
    with pytest.raises(UsageError, match="range from"):
        grid_pointing(torch.rand(1, 4, 6) - 1, 2, 2, torch.tensor([0]))
    with pytest.raises(UsageError, match="not finite"):
        grid_pointing(torch.full((1, 4, 6), float("nan")), 2, 2, torch.tensor([0]))


@pytest.mark.parametrize("cells", [[0], [0, 1], [[0, 1, 2]]])
def test_one_cell_per_map(cells):
    jaxtyping.config.update("jaxtyping_disable", True)  # without the checks of shapes that only tests have
    try:
        with pytest.raises(UsageError, match=re.escape(str(tuple(torch.tensor(cells).shape)))):
            grid_pointing(torch.rand(3, 4, 6), 2, 2, torch.tensor(cells))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
