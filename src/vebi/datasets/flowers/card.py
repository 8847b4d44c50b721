"""What a data set says about itself: dataset.json for programs, README.md for people."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vebi.datasets.flowers.scene import FRAMES, PARTS
from vebi.datasets.flowers.variants import classes

NAME = "an8Flower protocol, rendered by vebi"

_PACKAGES = ("vebi", "mitsuba", "numpy", "torch", "pillow")

_CARD = """# {name}

Images of a flower whose class is carried by one known part of it, for testing explanations of image classifiers: a good
explanation highlights the part that carries the class.

Variant `{variant}`: {n_classes} classes, {images_per_class} images per class, {size} x {size} pixels, background
`{background}`, seed {seed}.

## Contents

- `images/<class>/class{{c}}_img{{n}}_p{{p}}_r{{r}}.png`: class index c, frame n of {frames}, position p and
  rotation r of 5 each.
- `masks/<class>/`: a label image of the same name for every image. Values: {parts}.
  A pixel has the label of the part that is visible at its centre, to within half a pixel; what is hidden has no label.
- `dataset.json`: the classes, the part that carries each, settings, versions and a SHA-256 over all images and masks.

| index | class | part that carries it | its colour, about |
|---|---|---|---|
{rows}

In classes carried by the petals the leaves are green; in classes carried by the leaves the petals are cream.
The mask of a class is the part that carries it, visible pixels only. Stem and centre look the same in every class.

## How it was made

One flower, modelled in code, opens from a bud to full bloom over {frames} frames while it turns once around its stem.
Mitsuba 3 rendered the light that falls on each part under one lamp and an even sky; the colours of each class were
applied to that, so the classes differ in nothing but colour. Every image then got a rotation of up to 90 degrees either
way, a scale and a position, drawn from a seed of its own; the flower always lies inside the image. For 5-fold
cross-validation, fold k holds the images with r = k. Fewer than 1000 images per class are a fixed part of the 1000,
spaced evenly over frames and folds. Made with {versions}.

## What it is not

The protocol follows an8Flower (Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019). None of
the authors' images are in it, and the flower, light, colours and placements are ours: scores measured on it are not
comparable one to one with published ones.

## Known limits

- One flower, one light, one camera height: variety comes from growth, turn, placement and, if asked for, background.
- Neighbouring frames are alike, and the folds share frames: the images of a test fold are unseen, but not of another
  distribution. `vebi train --folds-by frame` makes folds that share no frame, fold k of those with n modulo 5 = k.
- Rotating the image rotates the direction of the light with it.
- The colour alone tells the class; shape does not. Thin parts, such as the stem, are a few pixels wide at small sizes.
- Masks have hard edges, images smooth ones, so a border pixel mixes two parts.
- Equal settings give equal bytes with the same versions on the same kind of processor; others may differ in last bits.

## Licence

CC0 1.0: the images and masks are free of copyright restrictions. https://creativecommons.org/publicdomain/zero/1.0/
"""


def describe(settings: dict[str, Any]) -> dict[str, Any]:
    """The content of dataset.json, but for its checksum, from the settings of ``generate``."""
    return {
        "name": NAME,
        "variant": settings["variant"],
        "classes": [
            {"name": c.name, "colour": c.colour, "carrier": c.carrier, "rgb": c.rgb}
            for c in classes(settings["variant"])
        ],
        "parts": PARTS,
        "images_per_class": settings["images_per_class"],
        "size": settings["size"],
        "seed": settings["seed"],
        "background": settings["background"],
        "frames": FRAMES,
        "folds": "fold k of 5 holds the images with r = k",
        "versions": {name: text for name in _PACKAGES if (text := _version(name))},
    }


def read_me(record: dict[str, Any]) -> str:
    """The data card, Markdown, of a finished data set with this dataset.json."""
    rows = "\n".join(
        f"| {index} | {c['name']} | {c['carrier']} | rgb({', '.join(map(str, c['rgb']))}) |"
        for index, c in enumerate(record["classes"])
    )
    text = {
        "n_classes": len(record["classes"]),
        "rows": rows,
        "parts": ", ".join(f"{value} {name}" for name, value in record["parts"].items()),
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    return _CARD.format(**record | text)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
