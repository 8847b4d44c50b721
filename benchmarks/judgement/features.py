"""Sheets to judge the images of features by, without knowing what they are, and what the answers come to.

    python benchmarks/judgement/features.py draw NAME=RUN... [--seed 0]     writes features/*.png and features/key.json
    python benchmarks/judgement/features.py score                           reads features/answers.json, too
                                                             both in another folder than features: --folder FOLDER
    python benchmarks/judgement/features.py compare OUT BEFORE=AFTER... two runs of each network side by side

``averages.png`` has 40 averages in a random order, to be given a number each, from 0, fog, to 100, "I see what it is";
``names_*.png`` have the first feature of each class, its spotlights and its average, to be named among ten, classes of
its network or others; of a network of more than 50 classes, 50 of them. The key says what they are; a judge sees the
sheets and the choices alone.
``answers.json`` is {"clarity": [40 numbers], "names": [a choice for each]}.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import spearmanr

import vebi
from vebi.interpretation.contact_sheet import contact_sheet, restore_contrast
from vebi.interpretation.exemplars import Exemplar

AVERAGES, CHOICES, PER_SHEET, CLASSES = 40, 10, 6, 50
SIDE = 150
#: What else a class of few could be.
DISTRACTORS = ("violin", "keyboard", "sandwich", "clock", "mushroom", "bridge", "zebra", "umbrella", "guitar", "teapot")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["draw", "score", "compare"])
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "features")
    options = parser.parse_args()
    if options.action == "score":
        print(json.dumps(score(options.folder), indent=1))
        return
    if options.action == "compare":
        compare(Path(options.runs[0]), [text.split("=") for text in options.runs[1:]])
        return
    rng = np.random.default_rng(options.seed)
    runs = {name: vebi.load(folder) for name, _, folder in (text.partition("=") for text in options.runs)}
    folder = options.folder
    folder.mkdir(exist_ok=True)
    key = {"averages": draw_averages(runs, rng, folder), "names": draw_names(runs, rng, folder)}
    (folder / "key.json").write_text(json.dumps(key, indent=1) + "\n")
    choices = [entry["choices"] for entry in key["names"]]
    (folder / "choices.json").write_text(json.dumps(choices, indent=1) + "\n")


def draw_averages(
    runs: dict[str, vebi.Interpretation], rng: np.random.Generator, folder: Path
) -> list[dict[str, object]]:
    """As many of every network, in a random order."""
    entries, chosen = [], []
    for name, interpretation in runs.items():
        exemplars = [e for e in interpretation.exemplars if e.consistency is not None]
        chosen += [(name, exemplars[k]) for k in rng.permutation(len(exemplars))[: -(-AVERAGES // len(runs))]]
    sheet = Image.new("RGB", (8 * (SIDE + 10), 5 * (SIDE + 28)), "white")
    for number, k in enumerate(rng.permutation(len(chosen))[:AVERAGES]):
        name, exemplar = chosen[k]
        place = (number % 8 * (SIDE + 10), number // 8 * (SIDE + 28))
        average = Image.fromarray(restore_contrast(exemplar)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        sheet.paste(average, (place[0], place[1] + 22))
        write(sheet, place, str(number + 1))
        entries.append({"network": name, "feature": str(exemplar.feature), "consistency": exemplar.consistency})
    sheet.save(folder / "averages.png", optimize=True)
    return entries


def draw_names(runs: dict[str, vebi.Interpretation], rng: np.random.Generator, folder: Path) -> list[dict[str, object]]:
    """The feature of the largest weight of every class, in a random order, six on a sheet."""
    drawn: list[tuple[Exemplar, dict[str, object]]] = []
    for network, interpretation in runs.items():
        names = [name for name in interpretation.class_names if interpretation.select_features(name)]
        for name in [names[k] for k in rng.permutation(len(names))[:CLASSES]] if len(names) > CLASSES else names:
            (feature, _), *_ = interpretation.select_features(name)
            others = [other for other in (*interpretation.class_names, *DISTRACTORS) if other != name]
            some = rng.permutation(len(others[: max(CHOICES - 1, len(interpretation.class_names) - 1)]))
            choices = sorted([name, *(others[k] for k in some[: CHOICES - 1])])
            entry = {"network": network, "class": name, "feature": str(feature), "choices": choices}
            drawn.append((interpretation.exemplar(feature), entry))
    order = rng.permutation(len(drawn))
    for start in range(0, len(order), PER_SHEET):
        figures = [contact_sheet(drawn[k][0], SIDE) for k in order[start : start + PER_SHEET]]
        width, height = max(f.width for f in figures), figures[0].height + 34
        sheet = Image.new("RGB", (2 * (width + 20), -(-len(figures) // 2) * height), "white")
        for k, figure in enumerate(figures):
            place = (k % 2 * (width + 20), k // 2 * height)
            sheet.paste(figure, (place[0], place[1] + 24))
            write(sheet, place, str(start + k + 1))
        sheet.save(folder / f"names_{start // PER_SHEET + 1}.png", optimize=True)
    return [drawn[k][1] for k in order]


def compare(out: Path, pairs: list[list[str]]) -> None:
    """Of each class the average of its first feature in the run before, and sheet and average of that after."""
    rows = []
    for before, after in ((vebi.load(one), vebi.load(other)) for one, other in pairs):
        for name in after.class_names:
            (old, _), *_ = before.select_features(name)
            (new, _), *_ = after.select_features(name)
            average = Image.fromarray(restore_contrast(before.exemplar(old))).resize((SIDE, SIDE))
            rows.append((name, average, contact_sheet(after.exemplar(new), SIDE // 2)))
    width = 2 * SIDE + 60 + rows[0][2].width
    sheet = Image.new("RGB", (2 * width, -(-len(rows) // 2) * (SIDE + 30)), "white")
    for k, (name, average, figure) in enumerate(rows):
        left, top = k % 2 * width, k // 2 * (SIDE + 30)
        write(sheet, (left, top), f"{name}, before")
        write(sheet, (left + SIDE + 40, top), "after")
        sheet.paste(average, (left, top + 24))
        sheet.paste(figure, (left + SIDE + 40, top + 24))
    sheet.save(out, quality=85)


def write(sheet: Image.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(sheet).text((place[0] + 4, place[1]), text, "black", ImageFont.load_default(18))


def score(folder: Path) -> dict[str, object]:
    """How far numbers and judge agree, and the share of features that are named right, by network."""
    key, answers = (json.loads((folder / name).read_text()) for name in ("key.json", "answers.json"))
    consistency = [entry["consistency"] for entry in key["averages"]]
    right: dict[str, list[bool]] = {}
    for entry, answer in zip(key["names"], answers["names"], strict=True):
        right.setdefault(entry["network"], []).append(answer == entry["class"])
    named = {name: f"{sum(hits)} of {len(hits)}" for name, hits in right.items()}
    total = sum(map(sum, right.values()))
    return {
        "rank correlation of consistency and clarity": float(spearmanr(consistency, answers["clarity"]).statistic),
        "averages": len(consistency),
        "named right": named | {"all": f"{total} of {len(key['names'])}"},
    }


if __name__ == "__main__":
    main()
