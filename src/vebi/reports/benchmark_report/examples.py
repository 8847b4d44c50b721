"""Example images of a benchmark with their masks and the heatmaps of the methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from vebi.backprop.heatmaps import clip_for_display, rescale
from vebi.metrics.iou import auc_iou
from vebi.reports.benchmark_report.number_formats import format_number
from vebi.reports.benchmark_report.rows import OURS
from vebi.reports.colors import overlay
from vebi.reports.html import InlineImage, inline

#: Pixels at most along the longer side of an image with its mask or map.
SIDE = 224


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with masks and the heatmaps of every method.

    Attributes:
        images: 8-bit RGB as the network saw them.
        masks: The pixels that make the class.
        classes: The target class of each image.
        maps: The positive part of the heatmaps, by method.
    """

    images: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    classes: tuple[str, ...]
    maps: dict[str, Float[np.ndarray, "n h w"]]


def join_examples(parts: Sequence[Examples]) -> Examples:
    """The examples of several parts, one after the other, with the maps of the methods that all of them have."""
    methods = [name for name in parts[0].maps if all(name in part.maps for part in parts)]
    return Examples(
        images=np.concatenate([part.images for part in parts]),
        masks=np.concatenate([part.masks for part in parts]),
        classes=tuple(name for part in parts for name in part.classes),
        maps={name: np.concatenate([part.maps[name] for part in parts]) for name in methods},
    )


@dataclass(frozen=True)
class ExampleMap:
    """A heatmap on the page; ``score`` is its own area under the IoU curve as it is written."""

    title: str
    ours: bool
    score: str
    image: InlineImage


@dataclass(frozen=True)
class ExampleStrip:
    """An image on the page, its mask outlined, and its heatmaps."""

    class_name: str
    image: InlineImage
    maps: tuple[ExampleMap, ...]


def make_strips(examples: Examples, titles: Mapping[str, str]) -> list[ExampleStrip]:
    """A strip per image with the heatmaps of the titled methods, in the order of the titles."""
    titles = {method: title for method, title in titles.items() if method in examples.maps}
    masks = torch.from_numpy(examples.masks)
    scores = {m: (100 * auc_iou(torch.from_numpy(rescale(examples.maps[m])), masks)).tolist() for m in titles}
    display_maps = {method: clip_for_display(examples.maps[method]) for method in titles}

    def strip_map(method: str, n: int) -> ExampleMap:
        pixels = overlay(examples.images[n], display_maps[method][n])
        return ExampleMap(titles[method], method == OURS, format_number(scores[method][n]), inline(pixels, SIDE))

    return [
        ExampleStrip(
            class_name,
            inline(outline_mask(examples.images[n], examples.masks[n]), SIDE),
            tuple(strip_map(method, n) for method in titles),
        )
        for n, class_name in enumerate(examples.classes)
    ]


def outline_mask(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "H W 3"]:
    """The image with a light line around its mask and a dark one outside, visible on any background.

    Small images are enlarged for that, so that the lines stay thin.
    """
    factor = max(1, SIDE // max(mask.shape))
    height, width = mask.shape
    large = Image.fromarray(image).resize((factor * width, factor * height), Image.Resampling.LANCZOS)
    pixels, inside = np.array(large), mask.repeat(factor, axis=0).repeat(factor, axis=1)
    light = _grow(inside, 1)
    pixels[_grow(light, 2) & ~light] = (8, 6, 30)
    pixels[light & ~inside] = pixels[inside & _grow(~inside, 1)] = 255
    return pixels


def _grow(mask: Bool[np.ndarray, "h w"], steps: int) -> Bool[np.ndarray, "h w"]:
    """The mask and its neighbours, so many steps far."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask
