"""What a data set says about itself: dataset.json for programs, README.md for people."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vebi.datasets.flowers.scene import FRAMES, parts_of
from vebi.datasets.flowers.variants import classes

NAME = "an8Flower protocol, rendered by vebi"

_FOLDS = {
    "plain": "fold k of 5 holds the images with r = k",
    "meadow": "fold k of 5 holds the images with n mod 5 = k",
}
_PACKAGES = ("vebi", "mitsuba", "numpy", "torch", "pillow")

_CARD = """# {name}

Images of a flower whose class is carried by one known part of it, for testing explanations of image classifiers: a good
explanation highlights the part that carries the class.

Variant `{variant}`: {n_classes} classes, {images_per_class} images per class, {size} x {size} pixels, scene `{scene}`,
background `{background}`, seed {seed}.

## Contents

- `images/<class>/class{{c}}_img{{n}}_p{{p}}_r{{r}}.png`: class index c, frame n of {frames}, position p and
  rotation r of 5 each.
- `masks/<class>/`: a label image of the same name for every image. Values: {parts}.
  A pixel has the label of the part that is visible at its centre, to within half a pixel; what is hidden has no label.
- `dataset.json`: the classes, the part that carries each, settings, versions and a SHA-256 over all images and masks.

| index | class | part that carries it | its colour, about |
|---|---|---|---|
{rows}

{look}
The mask of a class is the part that carries it, visible pixels only.

## How it was made

One flower, modelled in code, opens over {frames} frames while it turns once around its stem. Mitsuba 3 rendered the
light that falls on each part; the colours were applied to that. {made}
Fewer than 1000 images per class are a fixed part of the 1000, spaced evenly over frames and folds.
Made with {versions}.

## What it is not

The protocol follows an8Flower (Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019). None of
the authors' images are in it, and the flower, light, colours and placements are ours: scores measured on it are not
comparable one to one with published ones.

## Known limits

{limits}
- Masks have hard edges, images smooth ones, so a border pixel mixes two parts.
- Equal settings give equal bytes with the same versions on the same kind of processor; others may differ in last bits.

## Licence

CC0 1.0: the images and masks are free of copyright restrictions. https://creativecommons.org/publicdomain/zero/1.0/
"""

_PLAIN = {
    "look": """In classes carried by the petals the leaves are green; in classes carried by the leaves the petals are
cream. Stem and centre look the same in every class.""",
    "made": """The flower opens from a bud under one
lamp and an even sky; the classes differ in nothing but colour. Every image then got a rotation of up to 90 degrees
either way, a scale and a position, drawn from a seed of its own; the flower always lies inside the image. For 5-fold
cross-validation, fold k holds the images with r = k.""",
    "limits": """- The colour of a pixel alone tells the part: a map of raw colour saturation, made without any network,
  finds it better than most explanations. Take the scene `meadow` to tell explanations from image processing.
- One flower, one light, one camera height: variety comes from growth, turn, placement and, if asked for, background.
- Neighbouring frames are alike, and folds by rotation share frames: the images of a test fold are unseen, but not of
  another distribution. `vebi train --folds-by frame` makes folds that share no frame.
- Rotating the image rotates the direction of the light with it.
- Thin parts, such as the stem, are a few pixels wide at small sizes.""",
}

_MEADOW = {
    "made": """The lamp stands elsewhere in every frame, for all
classes alike. Every image got, drawn from a seed of its own without knowledge of the class: a rotation of up to 40
degrees either way, a scale and a position, whether it is mirrored, the colour and strength of the light, a colour for
every part, and grass, stones, blossoms out of focus and butterflies behind and in front of the flower. Then the part
that carries the class got what makes the class. For 5-fold
cross-validation by frame (`vebi train --folds-by frame`), fold k holds the images with n mod 5 = k.""",
    "limits": """- The front hides a part of the flower in some images; masks hold what is left to be seen.
- Neighbouring frames are alike: a held-out frame stands between two of the training.
- Clutter is drawn in the image plane: it casts no shadow on the flower and receives none.""",
}

_LOOKS = {
    "single-6c": """The colour of the petals is the class. Leaves, centre, pot, blossoms and butterflies wear colours of
the same palette, drawn independently of the class.""",
    "double-12c": """The colour of one part, petals or leaves, is the class; that part has a pale edge. The other of
the two, centre, pot, blossoms and butterflies wear colours of the same palette, drawn independently of the class.""",
    "shape-6c": """The form of the petals is the class. It has a pale edge in every class. All
colours are drawn from one palette, independently of the class.""",
}


def describe(settings: dict[str, Any]) -> dict[str, Any]:
    """The content of dataset.json, but for its checksum, from the settings of ``generate``."""
    return {
        "name": NAME,
        "variant": settings["variant"],
        "classes": [flower_class.to_dict() for flower_class in classes(settings["variant"])],
        "parts": parts_of(settings["scene"]),
        "images_per_class": settings["images_per_class"],
        "size": settings["size"],
        "seed": settings["seed"],
        "background": settings["background"],
        "scene": settings["scene"],
        "frames": FRAMES,
        "folds": _FOLDS[settings["scene"]],
        "versions": {name: text for name in _PACKAGES if (text := _version(name))},
    }


def read_me(record: dict[str, Any]) -> str:
    """The data card, Markdown, of a finished data set with this dataset.json."""
    rows = "\n".join(
        f"| {index} | {c['name']} | {c['carrier']} | {_colour(c)} |" for index, c in enumerate(record["classes"])
    )
    meadow = record["scene"] == "meadow"
    text = {
        **({"look": _LOOKS[record["variant"]], **_MEADOW} if meadow else _PLAIN),
        "n_classes": len(record["classes"]),
        "rows": rows,
        "parts": ", ".join(f"{value} {name}" for name, value in record["parts"].items()),
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    return _CARD.format(**record | text)


def _colour(entry: dict[str, Any]) -> str:
    return f"rgb({', '.join(map(str, entry['rgb']))})" if "rgb" in entry else "any"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
