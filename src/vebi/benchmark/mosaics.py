"""Mosaics of pictures of different classes: does a map follow the class that is asked for?

The grid pointing game (Boehle, Fritz and Schiele, CVPR 2021, section 4): four pictures of different classes make one,
each class is asked for in turn, and the share of the map's positive sum in that class's cell counts.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vebi.benchmark.ground_truth import Truth
from vebi.benchmark.scoring import positive_maps
from vebi.methods.base import Explainer
from vebi.metrics.pointing import grid_pointing
from vebi.models.classifier import Classifier, evaluating
from vebi.progress import Progress

SIDE = 2
CELLS = SIDE * SIDE


def draw_mosaics(truth: Truth, count: int, seed: int, whole: bool = True) -> list[tuple[int, ...]]:
    """Up to ``count`` times four of the pictures that are predicted right, of four classes; none where there are fewer,
    or where pictures must be halved (not ``whole``) and cannot be.

    Every picture is drawn as often as any other of its class, as far as that can be.
    """
    rng = np.random.default_rng([seed, len(truth)])
    members = {
        int(c): np.flatnonzero(truth.right & (truth.targets == c)) for c in np.unique(truth.targets[truth.right])
    }
    halved = not whole and any(side % SIDE for side in truth.masks.shape[1:])
    if len(members) < CELLS or halved:
        return []
    decks = {c: iter(np.resize(rng.permutation(some), count)) for c, some in members.items()}
    drawn = []
    for _ in range(count):
        drawn.append(tuple(int(next(decks[c])) for c in rng.choice(list(members), CELLS, replace=False).tolist()))
    return drawn


def takes_larger(classifier: Classifier) -> bool:
    """Whether the network takes pictures of twice its size, so that a mosaic needs no scaling down."""
    larger = F.interpolate(classifier.blank(), scale_factor=SIDE)
    with evaluating(classifier.module), torch.no_grad():
        try:
            classifier.scores(larger)
        except Exception:  # a network says in its own way that it does not
            return False
    return True


def mosaic_scores(
    explainer: Explainer,
    truth: Truth,
    drawn: Sequence[tuple[int, ...]],
    whole: bool,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Float[np.ndarray, " m"]:
    """For every mosaic the share of a map's positive sum in the right cell, mean over its four classes, in [0, 1].

    ``whole``: pictures keep their size and the mosaic has twice that; otherwise it is scaled down to the size of one.
    """
    found = np.zeros(len(drawn))
    cells = torch.arange(CELLS, device=truth.classifier.device)
    together = max(1, batch_size // (CELLS * (CELLS if whole else 1)))  # a mosaic is as large as four pictures
    for start in range(0, len(drawn), together):
        some = drawn[start : start + together]
        tiles = torch.cat([_tile(truth.inputs(places), whole) for places in some])
        targets = torch.from_numpy(np.concatenate([truth.targets[list(places)] for places in some])).to(cells.device)
        maps = positive_maps(explainer, tiles.repeat_interleave(CELLS, dim=0), targets)
        shares = grid_pointing(maps, SIDE, SIDE, cells.cpu().repeat(len(some)))
        found[start : start + len(some)] = shares.reshape(len(some), CELLS).mean(dim=1).numpy()
        if progress:
            progress(min(len(drawn), start + together), len(drawn))
    return found


def _tile(pictures: Float[Tensor, "4 c h w"], whole: bool) -> Float[Tensor, "1 c ..."]:
    rows = [torch.cat(list(pictures[r * SIDE : (r + 1) * SIDE]), dim=2) for r in range(SIDE)]
    mosaic = torch.cat(rows, dim=1)[None]
    return mosaic if whole else F.interpolate(mosaic, pictures.shape[2:], mode="bilinear", antialias=True)
