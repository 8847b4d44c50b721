"""A contest of methods on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from vebi.backprop.heatmaps import for_display, rescale
from vebi.files import whole
from vebi.metrics.iou import auc_iou
from vebi.reports import benchmark_findings, benchmark_text
from vebi.reports.benchmark_text import CHANCE, GRID, MAIN, OURS, WHOLE, Row
from vebi.reports.colors import overlay
from vebi.reports.html import fill, inline
from vebi.reports.svg_chart import Line, ceiling, line_chart

SIDE = 224  # pixels at most of a picture with its mask and of a map


@dataclass(frozen=True)
class Examples:
    """``pictures`` as the network saw them, their ``masks``, the class asked for, and by method the positive maps."""

    pictures: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    classes: tuple[str, ...]
    maps: dict[str, Float[np.ndarray, "n h w"]]


def write_contest(found: dict[str, Any], examples: Mapping[str, Examples], out: Path) -> None:
    """Writes the page of what ``write_result`` holds, with pictures by data set."""
    with whole(out) as partial:
        partial.write_text(render(found, examples), encoding="utf-8")


def render(found: dict[str, Any], examples: Mapping[str, Examples]) -> str:
    """The page as text."""
    rows, transformed = (benchmark_text.by_variant(found[form]) for form in ("rows", "transformed_rows"))
    rerun = benchmark_text.is_rerun(found)
    covered = {variant: data["whole_picture"] for variant, data in found["settings"]["data"].items()}
    before = {v: {row["method"]: benchmark_text.figure(row["mean"]) for row in some} for v, some in rows.items()}
    pointing = {v: some for v, some in rows.items() if any(row[GRID] is not None for row in some)}
    first = next(iter(rows.values()))
    return fill(
        "benchmark.html.j2",
        title=benchmark_text.heading(found),
        measured=benchmark_text.measured(found),
        material=benchmark_text.material(found),
        rerun=rerun,
        several=len(rows) > 1,
        not_comparable=benchmark_text.NOT_COMPARABLE,
        findings=benchmark_findings.findings(found),
        caption=benchmark_text.caption(found),
        boards={v: _board(some, MAIN, covered[v], _top(rows)) for v, some in rows.items()},
        legend_of_curves=[(k + 1, name, Line(k + 1, ()).stroke) for k, name in enumerate(_shown(first).values())],
        charts=_charts(found["curves"], rows),
        examples={v: _examples(examples[v], some) for v, some in rows.items() if v in examples},
        scores={v: _scores(some, covered[v]) for v, some in rows.items()},
        transform=benchmark_text.TRANSFORM,
        transformed={
            v: _board(some, MAIN, covered[v], _top(transformed), before[v]) for v, some in transformed.items()
        },
        pointing={v: _board(some, GRID, CHANCE, 100, reference="chance") for v, some in pointing.items()},
        mosaics=benchmark_text.mosaics(found),
        sensitivity={v: _choices(found["sensitivity"][v], rows[v]) for v in found["sensitivity"]},
        other_choices=benchmark_text.other_choices(found),
        choices=benchmark_text.choices(found),
        p_title=benchmark_text.P_TITLE,
        terms=benchmark_text.terms(found),
        made=benchmark_text.made(found),
    )


def _shown(rows: Sequence[Row]) -> dict[str, str]:
    """The methods of which there are curves and pictures, those of the paper's table and the user's own -> titles."""
    title = benchmark_text.names(rows)
    return {row["method"]: title[row["method"]] for row in rows if row["of_the_seed"] or row["own"]}


def _top(variants: Mapping[str, Sequence[Row]]) -> int:
    """Where the scale of a score ends, the same for all data sets."""
    rows = [row for some in variants.values() for row in some]
    ends = [row["mean"] + (row["std"] or 0) for row in rows] + [sum(row["published"] or ()) for row in rows]
    return min(100, ceiling(ends))


def _board(
    rows: Sequence[Row],
    name: str,
    level: float,
    top: int,
    before: Mapping[str, str] | None = None,
    reference: str = WHOLE,
) -> dict[str, Any]:
    """The methods by one score, the highest first, each with where its dot lies on a scale from 0 to ``top``; ``level``
    is what the ``reference`` scores."""

    def place(value: float) -> str:
        return f"{100 * min(max(value, 0), top) / top:.2f}%"

    title = benchmark_text.names(rows)
    values = {row["method"]: benchmark_text.column(row, name) or 0.0 for row in rows}
    best = benchmark_text.best(values)
    lines = []
    for row in rows:
        value, std = values[row["method"]], (row["std"] or 0) if name == MAIN else 0
        known = row["published"] if name == MAIN and before is None else None
        lines.append(
            {
                "title": title[row["method"]],
                "kind": "ours" if row["method"] == OURS else "paper" if row["of_the_seed"] else "further",
                "value": value,
                "text": benchmark_text.spread(value, row["std"] if name == MAIN else None),
                "best": row["method"] in best,
                "before": None if before is None else before[row["method"]],
                "published": benchmark_text.published(row) if known else "",
                "ratio": benchmark_text.ratio(row, name),
                "dot": place(value),
                "whisker": (place(value - std), place(value + std)) if std else None,
                "known": place(known[0]) if known else None,
            }
        )
    marker = {
        "title": reference,
        "kind": "reference",
        "value": level,
        "text": benchmark_text.figure(level),
        "dot": place(level),
    }
    empty = {"best": False, "before": "", "published": "", "ratio": "", "whisker": None, "known": None}
    step = 20 if top > 50 else 10
    return {
        "rows": sorted([*lines, marker | empty], key=lambda line: -line["value"]),
        "level": place(level),
        "ticks": [(place(tick), str(tick)) for tick in range(0, top + 1, step)],
        "published": any(line["published"] for line in lines),
        "before": before is not None,
    }


def _charts(curves: Mapping[str, Mapping[str, Sequence[float]]], rows: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """A chart a data set, all on one scale; a method has the same number in all of them."""
    lines = {
        variant: [Line(k + 1, curves[variant][method]) for k, method in enumerate(_shown(some))]
        for variant, some in rows.items()
    }
    top = ceiling([value for some in lines.values() for line in some for value in line.values], 20)
    return {
        variant: line_chart(some, top, f"IoU by threshold on {variant}: {', '.join(_shown(rows[variant]).values())}")
        for variant, some in lines.items()
    }


def _scores(rows: Sequence[Row], covered: float) -> dict[str, Any]:
    """Every score of every method; what marking the whole picture has is the same in each."""
    titles, title = benchmark_text.scores(rows), benchmark_text.names(rows)
    best = {
        name: benchmark_text.best({row["method"]: benchmark_text.column(row, name) for row in rows}) for name in titles
    }
    groups = [
        [
            {
                "title": title[row["method"]],
                "ours": row["method"] == OURS,
                "cells": [
                    (benchmark_text.figure(benchmark_text.column(row, n)), row["method"] in best[n]) for n in titles
                ],
                "p": benchmark_text.chance(row["p"]),
            }
            for row in rows
            if row["of_the_seed"] == paper
        ]
        for paper in (True, False)
    ]
    reference = [benchmark_text.figure(CHANCE if name == GRID else covered) for name in titles]
    return {"titles": titles, "groups": groups, "reference": reference}


def _choices(varied: Sequence[dict[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Rows by choice; a cell is what a method has, empty where the choice does not touch it, and whether it passes
    vebi."""
    methods = {method: title for method, title in benchmark_text.names(rows).items() if method in varied[0]["auc_iou"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in varied:
        above = benchmark_findings.above_ours(row, varied[0])
        cells = [(benchmark_findings.choice(row, m, above), m in above and m in row["auc_iou"]) for m in methods]
        groups.setdefault(row["choice"], []).append({"setting": row["setting"], "cells": cells})
    return {"titles": list(methods.values()), "groups": groups}


def _examples(examples: Examples, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A picture with its mask and the maps over it, each with its own score."""
    shown = {method: title for method, title in _shown(rows).items() if method in examples.maps}
    masks = torch.from_numpy(examples.masks)
    own = {m: (100 * auc_iou(torch.from_numpy(rescale(examples.maps[m])), masks)).tolist() for m in shown}
    scaled = {method: for_display(examples.maps[method]) for method in shown}
    return [
        {
            "class": name,
            "picture": inline(outlined(examples.pictures[n], examples.masks[n]), SIDE),
            "maps": [
                {
                    "title": title,
                    "ours": method == OURS,
                    "score": benchmark_text.figure(own[method][n]),
                    "image": inline(overlay(examples.pictures[n], scaled[method][n]), SIDE),
                }
                for method, title in shown.items()
            ],
        }
        for n, name in enumerate(examples.classes)
    ]


def outlined(picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a light line around what the mask marks and a dark one outside, seen on any ground; small
    pictures are enlarged for that, so that the lines stay thin."""
    factor = max(1, SIDE // max(mask.shape))
    height, width = mask.shape
    large = Image.fromarray(picture).resize((factor * width, factor * height), Image.Resampling.LANCZOS)
    pixels, inside = np.array(large), mask.repeat(factor, axis=0).repeat(factor, axis=1)
    light = _grown(inside, 1)
    pixels[_grown(light, 2) & ~light] = (8, 6, 30)
    pixels[light & ~inside] = pixels[inside & _grown(~inside, 1)] = 255
    return pixels


def _grown(mask: Bool[np.ndarray, "h w"], steps: int) -> Bool[np.ndarray, "h w"]:
    """The mask and its neighbours, so many steps far."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask
