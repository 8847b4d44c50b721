"""The grid pointing game: does a map follow the class that is asked for?

Four images of different classes make one mosaic, each class is asked for in turn, and the share of the map's positive
sum in the cell of that class counts.

Reference:
    Böhle, Fritz and Schiele, "Convolutional Dynamic Alignment Networks for Interpretable Classifications", CVPR 2021,
    section 4.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.scoring import positive_maps
from vebi.methods.base import Explainer
from vebi.metrics.pointing import grid_pointing
from vebi.models.classifier import Classifier
from vebi.progress import Progress

SIDE = 2
CELLS = SIDE * SIDE

#: Positions of the images of a mosaic among the scored images, cell by cell.
Mosaic = tuple[int, ...]


def draw_mosaics(truth: GroundTruth, count: int, seed: int, full_size: bool = True) -> list[Mosaic]:
    """Draws four classes at a time and an image of each, among the images that are classified correctly.

    Every image is drawn as often as any other of its class, as far as that can be.

    Args:
        truth: The scored images.
        count: Number of mosaics.
        seed: Seed of the draw.
        full_size: Whether images keep their size; otherwise they are halved.

    Returns:
        The mosaics; none where there are fewer than four classes or where images must be halved and cannot be.
    """
    rng = np.random.default_rng([seed, len(truth)])
    members = {
        int(c): np.flatnonzero(truth.correct & (truth.targets == c)) for c in np.unique(truth.targets[truth.correct])
    }
    odd = any(side % SIDE for side in truth.masks.shape[1:])
    if len(members) < CELLS or (odd and not full_size):
        return []
    decks = {c: iter(np.resize(rng.permutation(rows), count)) for c, rows in members.items()}
    mosaics = []
    for _ in range(count):
        mosaics.append(tuple(int(next(decks[c])) for c in rng.choice(list(members), CELLS, replace=False).tolist()))
    return mosaics


def takes_larger(classifier: Classifier) -> bool:
    """Whether the network takes images of twice its size, so that a mosaic needs no scaling down."""
    larger = F.interpolate(classifier.zero_input(), scale_factor=SIDE)
    with classifier.evaluation(), torch.no_grad():
        try:
            classifier.logits(larger)
        except Exception:  # networks refuse an input in ways of their own
            return False
    return True


def mosaic_scores(
    explainer: Explainer,
    truth: GroundTruth,
    mosaics: Sequence[Mosaic],
    full_size: bool,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Float[np.ndarray, " m"]:
    """Grid pointing of one method.

    Args:
        explainer: The method.
        truth: The scored images.
        mosaics: Four images each, see ``draw_mosaics``.
        full_size: Whether images keep their size and the mosaic has twice that; otherwise the mosaic is scaled down to
            the size of an image.
        batch_size: Images per pass; a mosaic at full size counts as four.
        progress: Called with (mosaics done, mosaics).

    Returns:
        For every mosaic the share of a map's positive sum in the right cell, mean over its four classes, in [0, 1].
    """
    scores = np.zeros(len(mosaics))
    cells = torch.arange(CELLS, device=truth.classifier.device)
    per_pass = max(1, batch_size // (CELLS * (CELLS if full_size else 1)))
    for start in range(0, len(mosaics), per_pass):
        subset = mosaics[start : start + per_pass]
        tiles = torch.cat([_tile(truth.inputs(rows), full_size) for rows in subset])
        targets = torch.from_numpy(np.concatenate([truth.targets[list(rows)] for rows in subset])).to(cells.device)
        maps = positive_maps(explainer, tiles.repeat_interleave(CELLS, dim=0), targets)
        shares = grid_pointing(maps, SIDE, SIDE, cells.cpu().repeat(len(subset)))
        scores[start : start + len(subset)] = shares.reshape(len(subset), CELLS).mean(dim=1).numpy()
        if progress:
            progress(min(len(mosaics), start + per_pass), len(mosaics))
    return scores


def _tile(images: Float[Tensor, "4 c h w"], full_size: bool) -> Float[Tensor, "1 c ..."]:
    rows = [torch.cat(list(images[r * SIDE : (r + 1) * SIDE]), dim=2) for r in range(SIDE)]
    mosaic = torch.cat(rows, dim=1)[None]
    return mosaic if full_size else F.interpolate(mosaic, images.shape[2:], mode="bilinear", antialias=True)
