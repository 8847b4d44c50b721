"""Pointing games: whether a heatmap's maximum, or how much of its sum, lies where the object is."""

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.base import scale_to_max, validate, validate_maps


def pointing_game(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Tells whether a map's highest pixel lies in the mask. Higher is better.

    Where several pixels share the maximum, the score is the share of them in the mask, which picking one at random
    would score on average: a constant map scores the share of the mask, not 0 or 1 by luck. There is no tolerance
    radius around the mask, where published results often allow 15 pixels: scores here can be lower.

    Args:
        maps: Non-negative heatmaps of any scale, n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.

    Returns:
        1 or 0, between them where pixels are tied, n.

    Raises:
        UsageError: An empty mask or one of other values, values that are negative or not finite, or different shapes.

    Reference:
        Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 2018.

    Example:
        >>> maps = torch.tensor([[[1.0, 9.0], [0.0, 2.0]]])
        >>> vebi.metrics.pointing_game(maps, maps > 1)
        tensor([1.])
    """
    maps, masks = validate(maps, masks)
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    return (highest & masks).sum(dim=(1, 2)) / highest.sum(dim=(1, 2))


def grid_pointing(
    maps: Shaped[Tensor, "n h w"], rows: int, columns: int, cells: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Computes the share of a map's sum in the cell of the class asked for. Higher is better.

    Images of several classes lie side by side in one, so that the ground truth is known without any mask. Chance and
    every constant map score 1 / (rows columns), a map of zeros 0.

    Args:
        maps: Non-negative heatmaps of any scale, n x h x w: the positive part of an attribution, which is what the
            paper counts.
        rows: Of cells, which divide the height evenly.
        columns: Of cells, which divide the width evenly.
        cells: For each map the index of the cell, row by row from 0 on, n.

    Returns:
        Shares in [0, 1], n.

    Raises:
        UsageError: Sizes that are no multiples of rows and columns (cells of different sizes would change what chance
            scores), cells that are not in the grid or not one per map, or values that are negative or not finite.

    Reference:
        Boehle, Fritz and Schiele, "Convolutional Dynamic Alignment Networks for Interpretable Classifications",
        CVPR 2021, section 4.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0], [0.0, 0.0]]])
        >>> vebi.metrics.grid_pointing(maps, rows=2, columns=2, cells=torch.tensor([0]))
        tensor([0.7500])
    """
    maps = validate_maps(maps)
    n, height, width = maps.shape
    if rows < 1 or columns < 1 or height % rows or width % columns:
        raise UsageError(
            f"maps of {height} x {width} pixels come with a grid of {rows} x {columns} cells: "
            f"give maps that the grid divides evenly"
        )
    if cells.shape != (n,):
        raise UsageError(f"{n} maps come with cells of shape {tuple(cells.shape)}: give one cell per map")
    if ((cells < 0) | (cells >= rows * columns)).any():
        raise UsageError(
            f"cells range from {int(cells.min())} to {int(cells.max())}: "
            f"count them from 0 to {rows * columns - 1}, row by row"
        )
    sums = scale_to_max(maps).reshape(n, rows, height // rows, columns, width // columns).sum(dim=(2, 4)).flatten(1)
    asked = sums.gather(1, cells.to(sums.device).long()[:, None])[:, 0]
    return asked / sums.sum(dim=1).clamp(min=1)  # a map's sum is 0 or at least 1, its highest value
