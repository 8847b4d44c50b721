"""Explanations scored against ground truth masks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from vebi.data.collections import ImageCollection, Subset
from vebi.datasets.masks import Mask, crop_mask, report_empty
from vebi.errors import InputError
from vebi.explanation.explain import explain_each
from vebi.explanation.recipe import Recipe
from vebi.interpretation.result import Interpretation
from vebi.metrics.iou import auc_iou
from vebi.models.preprocess import Preprocess
from vebi.progress import StageProgress, stage

#: What is scored: how heatmaps are made by name.
RECIPES = {
    "vebi": Recipe(),
    "vebi-paper-heatmaps": Recipe.paper(),
    "vebi-paper-heatmaps-without-stride-fix": Recipe.paper(stride_fix=None),
}
WHOLE = "whole-image"  # for comparison: a map that marks every pixel alike


def visible_masks(
    preprocess: Preprocess, images: ImageCollection, masks: Callable[[int], Mask], indices: Sequence[int]
) -> dict[int, Mask]:
    """Index of an image -> its mask as the network sees it, for those images in which the object is visible.

    The others are warned of. Raises InputError where it is visible in none.
    """
    cropped = {index: crop_mask(preprocess, masks(index)) for index in indices}
    visible = {index: mask for index, mask in cropped.items() if mask.any()}
    if not visible:
        raise InputError(f"all {len(indices)} masks are empty: give masks in which the object is not black")
    report_empty([images.ids[index] for index in indices if index not in visible], len(indices))
    return visible


def mask_scores(
    interpretation: Interpretation,
    images: ImageCollection,
    masks: Mapping[int, Mask],
    batch_size: int,
    progress: StageProgress | None,
) -> dict[str, float]:
    """Mean area under the IoU curve in percent, for the combined maps of each of ``RECIPES`` and for ``WHOLE``.

    An image is explained for its predicted class.
    """
    truth = torch.from_numpy(np.stack(list(masks.values())))
    subset = Subset(images, list(masks))
    scores = {}
    for name, recipe in RECIPES.items():
        explanations = explain_each(
            interpretation,
            subset,
            recipe=recipe,
            batch_size=batch_size,
            strict=True,  # all of them could be decoded before
            progress=stage(progress, f"score {name}".replace("without-stride-fix", "unfixed")),
        )
        maps = torch.from_numpy(np.stack([explanation.combined_map() for explanation in explanations]))
        scores[name] = 100 * float(auc_iou(maps, truth).mean())
    return scores | {WHOLE: 100 * float(auc_iou(torch.ones_like(maps), truth).mean())}
