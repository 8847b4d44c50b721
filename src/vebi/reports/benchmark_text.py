"""What a table of methods says, in words: shared by the page and the text, so that both say the same."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vebi.metrics.registry import METRICS
from vebi.reports.html import number, percent

Row = dict[str, Any]

OURS, MAIN, GRID = "vebi", METRICS[0].name, "grid_pointing"
CHANCE = 25.0  # of four pictures in a mosaic one is asked for
NAMED = 3  # methods in a sentence; the tables hold all
WHOLE = "marking the whole picture"
P_TITLE = "p (area under the IoU curve)"
#: Columns of scores -> titles, in the order of a table.
TITLES = {metric.name: metric.title for metric in METRICS} | {GRID: "grid pointing"}
#: Columns of scores -> what they measure, said after their title and a colon.
MEANINGS = {
    "auc_iou": "a map, scaled to run from 0 to 1, is cut at thresholds from 0 to 1. The overlap of what lies above "
    "with the mask (intersection over union, IoU) is averaged over the thresholds. A map scores high if it is bright "
    "all over what the mask marks and dark elsewhere",
    "best_iou": "the overlap at the threshold that suits each picture best, chosen with the mask in hand",
    "average_precision": "pixels are ranked by the map; at every pixel of the mask the share of the mask among the "
    "pixels down to its value is taken, and the mean of these counts. Only the order of pixels matters",
    "pointing_game": "how often the highest pixel of a map lies in the mask",
    "relevance_mass": "the share of a map’s sum that lies in the mask",
    "relevance_rank": "of as many highest pixels as the mask has, the share that lies in the mask",
    GRID: "four pictures of different classes are laid out as one, two by two. Each of their classes is asked for in "
    "turn, and the share of the map’s sum that lies in the picture of that class counts. A map that does not follow "
    "the class scores 25",
}
DEVIATION = (
    "the mean over folds, and the standard deviation of the folds’ means. The networks of all folds start from the "
    "same seed, so it says little about other trainings"
)
RATIO = (
    "vebi’s score divided by the method’s, so that above 1 vebi is ahead, with a 95 % interval: pictures are drawn "
    "again and again with replacement, the same ones for both methods. Networks are not trained again, so the "
    "interval does not say what other networks would give"
)
P = (
    "the probability of differences at least as one-sided as these, picture by picture, if neither method were ahead "
    "of the other (Wilcoxon’s signed-rank test), raised for the number of methods (Holm). It takes the networks as "
    "given, too"
)
COVERED = (
    "for comparison, what a map that is 1 everywhere would score if it were taken as it is: the share of a picture "
    "that its mask covers"
)
#: What is changed in the table of other choices -> what it is, and how it stands in the other tables.
CHOICES = {
    "thresholds": "at which values maps are cut (101 from 0 to 1). At 0 every pixel is above",
    "interpolation": "how a map of a deep layer is enlarged to the size of the picture (bilinear)",
    "layer of Grad-CAM": "the layer that Grad-CAM and its kin look at (the last one before positions are pooled away). "
    "Earlier layers have finer maps",
    "descriptor": "how the activations of a channel become one number when features are chosen (sums of squares)",
    "weights": "whether a feature may speak against a class when features are chosen (no)",
    "labels": "whether features are chosen for the true or for the predicted classes (predicted)",
    "mu": "how much weight a class may give to its features ({mu:g}): the larger, the more features are chosen",
    "features": "how many features at most are led back to a picture (3)",
    "combination": "how the maps of several features become one (the highest value at every pixel)",
    "stride fix": "how vebi avoids the grid that strides leave in a map (centred)",
}
TRANSFORM = (
    "Every map is blurred (Gaussian, 1/56 of its longer side) and passed through a soft threshold at Otsu’s level, the "
    "value that best parts its bright pixels from its dark ones; the recipe is the same for every method."
)
PAPER = "Oramas, Wang and Tuytelaars, “Visual Explanation by Interpretation”, ICLR 2019 (arXiv 1712.06302)"
NOT_COMPARABLE = (
    "Published: table 1 of Oramas, Wang and Tuytelaars, “Interpreting and Explaining Deep Models Visually” (BNAIC "
    "2019), on their own pictures and networks. The pictures here follow their an8Flower protocol and are rendered by "
    "vebi, the networks are vebi’s own, so the two columns are not comparable one to one."
)
PLAN = {
    "images_per_class": "pictures made a class",
    "folds": "folds",
    "epochs": "epochs of training",
    "scored": "pictures scored a class and fold, at most",
    "mosaics": "mosaics of four pictures a fold, at most",
    "varied": "pictures a class and fold under other choices, at most",
    "mu": "mu of the fit",
    "seed": "seed",
    "cam_layer": "layer of Grad-CAM and its kin",
    "fit_on": "pictures of the fit",
}


def figure(value: float | None, digits: int = 1) -> str:
    """A number for a table, empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def spread(mean: float | None, std: float | None) -> str:
    """``46.3 ± 3.1``, without a deviation where there is none."""
    return " ± ".join(part for part in (figure(mean), figure(std)) if part)


def published(row: Row) -> str:
    return spread(*row["published"]) if row["published"] else ""


def ratio(row: Row, name: str = MAIN) -> str:
    """``1.15 (1.08 to 1.23)`` of the score or of grid pointing, empty for vebi itself."""
    if row["method"] == OURS:
        return ""
    values = row["grid_pointing_ratio"] if name == GRID else [row["ratio_of_vebi_to_it"], *row["ratio_interval"]]
    middle, low, high = (figure(value, 2) for value in values or (None,) * 3)
    return middle + (f" ({low} to {high})" if low and high else "")


def chance(p: float | None) -> str:
    if p is None or math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def by_variant(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of every data set in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["variant"], []).append(row)
    return found


def is_rerun(found: Mapping[str, Any]) -> bool:
    """Whether there are published figures to stand beside these."""
    return any(row["published"] for row in found["rows"])


def heading(found: Mapping[str, Any]) -> str:
    names = listed(list(found["settings"]["data"]))
    return "How well heatmaps meet the truth" if is_rerun(found) else f"How well heatmaps meet the masks of {names}"


def names(rows: Sequence[Row]) -> dict[str, str]:
    """Method -> title."""
    return {row["method"]: row["title"] for row in rows}


def scores(rows: Sequence[Row]) -> dict[str, str]:
    """The columns of scores that these rows hold -> their titles."""
    held = [name for name in TITLES if any(column(row, name) is not None for row in rows)]
    return {name: TITLES[name] for name in held}


def column(row: Row, name: str) -> float | None:
    return row["mean"] if name == MAIN else row[name]


def best(values: Mapping[str, float | None]) -> set[str]:
    """The names with the highest value, as far as a table shows it."""
    shown = {name: round(value, 1) for name, value in values.items() if value is not None and not math.isnan(value)}
    return {name for name, value in shown.items() if value == max(shown.values())}


def listed(words: Sequence[str], most: int | None = None) -> str:
    """``a, b and c``; beyond ``most`` the others are counted."""
    shown = list(words[:most])
    shown += [f"{len(words) - len(shown)} more"] if len(words) > len(shown) else []
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def plural(count: int, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def measured(found: Mapping[str, Any]) -> str:
    """What was measured, in a sentence or two."""
    methods = len({row["method"] for row in found["rows"]})
    return (
        f"{methods} methods that mark in a picture why a network decides as it does are held against masks of the "
        f"pixels that make the class: the mean area under the IoU curve over {found['settings']['thresholds']} "
        "thresholds, in percent. A map that matches its mask at every threshold above 0 has nearly 100."
    )


def material(found: Mapping[str, Any]) -> dict[str, str]:
    """Data set -> how many pictures, folds and networks, and how often they are right."""
    told = {}
    for variant, data in found["settings"]["data"].items():
        pictures, folds = sum(data["pictures"]), data["folds"]
        text = plural(pictures, "picture")
        if data["predicted_right"][0] is None:
            right = ""
        else:
            share = sum(n * r for n, r in zip(data["pictures"], data["predicted_right"], strict=True)) / pictures
            right = f"right on {percent(share)} of"
        if "fitted_on_the_same_pictures" in data:
            text += f"; one network, {f'{right} them' if right else 'asked for the class that it predicts'}; "
            text += "vebi’s features were chosen "
            text += "from the same pictures" if data["fitted_on_the_same_pictures"] else "from other pictures"
        else:
            text += f" in {plural(folds, 'fold')}; for each fold a network that was not trained on it, "
            text += f"{right} the pictures"
        told[variant] = text
    return told


def caption(found: Mapping[str, Any]) -> str:
    """What stands in the main table."""
    folds = any(row["std"] is not None for row in found["rows"])
    parts = ["mean ± standard deviation over folds" if folds else "mean over pictures"]
    parts += ["the published figure beside it"] if is_rerun(found) else []
    parts.append("and vebi’s score divided by the method’s, with its 95 % interval")
    return f"Area under the IoU curve in percent: {', '.join(parts)}."


def terms(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every column and what it means."""
    told = [(title, MEANINGS[name]) for name, title in scores(found["rows"]).items()]
    if any(row["std"] is not None for row in found["rows"]):
        told.append(("mean ± deviation", DEVIATION))
    return [*told, ("vebi / it", RATIO), (P_TITLE, P), (WHOLE, COVERED)]


def mosaics(found: Mapping[str, Any]) -> str:
    """What the mosaics were made of, empty where there were none."""
    data = {v: d for v, d in found["settings"]["data"].items() if sum(d["mosaics"])}
    parts = [
        f"{plural(sum(d['mosaics']), 'mosaic')} of {d['mosaics_of']}" + (f" from {v}" if len(data) > 1 else "")
        for v, d in data.items()
    ]
    return f"{listed(parts)}; chance gives {CHANCE:.0f} %." if parts else ""


def other_choices(found: Mapping[str, Any]) -> str:
    varied = found["settings"]["plan"].get("varied")
    fewer = f"; on up to {plural(varied, 'picture')} a class and fold" if varied else ""
    return f"The score of the first table where one choice is made differently and all others are left{fewer}."


def choices(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The choices that were varied and what they are."""
    named = {row["choice"] for rows in found["sensitivity"].values() for row in rows}
    mu = found["settings"]["plan"]["mu"]
    return [(name, text.format(mu=mu)) for name, text in CHOICES.items() if name in named]


def made(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it was made."""
    settings = found["settings"]
    told = [("command", settings["command"])] if "command" in settings else []
    told += [(PLAN.get(name, name), str(value)) for name, value in settings["plan"].items() if value is not None]
    told.append(("thresholds of the IoU curve", str(settings["thresholds"])))
    for variant, data in settings["data"].items():
        told.append((f"pictures of {variant}", f"sha256 {data['data_sha256']}"))
        networks = [
            n["model"] + ("" if n["accuracy"] is None else f" (right on {percent(n['accuracy'])})")
            for n in data["networks"]
        ]
        told.append((f"networks of {variant}", f"sha256 {', '.join(networks)}"))
    told += [(f"method {name}", text) for name, text in settings["methods"].items()]
    told.append(("versions", ", ".join(f"{name} {version}" for name, version in settings["versions"].items())))
    return [*told, ("made", settings["created"]), ("the paper", PAPER)]
