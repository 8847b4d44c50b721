"""The pointing game (Zhang et al., "Top-down neural attention by excitation backprop", IJCV 2018)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.base import check, check_maps, to_highest


def pointing_game(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Whether a map's highest pixel lies in the mask: 1 or 0. Higher is better; maps non-negative, of any scale.

    Where several pixels share the maximum, the share of them in the mask, what picking one at random would score on
    average: a constant map scores the share of the mask, not 0 or 1 by luck. There is no tolerance radius around the
    mask, where published results often allow 15 pixels: scores here can be lower.
    Raises UsageError for an empty mask, for values that are negative or not finite and for different shapes.
    """
    check(maps, masks)
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    return (highest & masks).sum(dim=(1, 2)) / highest.sum(dim=(1, 2))


def grid_pointing(
    maps: Float[Tensor, "n h w"], rows: int, columns: int, cells: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """The share of a map's sum that lies in the cell of the class asked for. In [0, 1], higher is better.

    ``cells`` holds row-major indices, one a map. Maps are non-negative, of any scale: pass the positive part of an
    attribution, which is what the paper counts. Chance and every constant map score 1 / (rows columns), a map of zeros
    0. Raises UsageError for sizes that are no multiples of rows and columns (cells of different sizes would move
    chance), for cells that are not in the grid or not one a map, and for values that are negative or not finite.
    """
    n, height, width = maps.shape
    if rows < 1 or columns < 1 or height % rows or width % columns:
        raise UsageError(
            f"maps of {height} x {width} pixels come with a grid of {rows} x {columns} cells: "
            f"give maps that the grid divides evenly"
        )
    if cells.shape != (n,):
        raise UsageError(f"{n} maps come with cells of shape {tuple(cells.shape)}: give one cell a map")
    if ((cells < 0) | (cells >= rows * columns)).any():
        raise UsageError(
            f"cells range from {int(cells.min())} to {int(cells.max())}: "
            f"count them from 0 to {rows * columns - 1}, row by row"
        )
    check_maps(maps)
    sums = to_highest(maps).reshape(n, rows, height // rows, columns, width // columns).sum(dim=(2, 4)).flatten(1)
    asked = sums.gather(1, cells.to(sums.device).long()[:, None])[:, 0]
    return asked / sums.sum(dim=1).clamp(min=1)  # a map's sum is 0 or at least 1, its highest value
