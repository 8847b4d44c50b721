"""Sheets to judge heatmaps by, without knowing which method made which, and what the answers come to.

    vebi bench images --model SPEC --data DATA --folds 4 --out OUT
    python benchmarks/judgement/heatmaps.py draw SPEC DATA OUT SHEETS     writes SHEETS/*.png and heatmaps/key.json
    python benchmarks/judgement/heatmaps.py score                         reads heatmaps/answers.json, too

40 images spread over those of DATA, six on a sheet, each with its predicted class and four maps, A to D, in a random
order. The judge is asked which map shows best what in the image made it this class, and ranks all four.
``answers.json`` is a list of 40 strings such as "BADC", the best first. The sheets show images that may not be ours to
give, so they are not kept beside the key.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import vebi
from vebi.activations.descriptors import Descriptor
from vebi.backprop.heatmaps import clip_for_display
from vebi.benchmark.built_in_methods import all_methods
from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import find_predicted
from vebi.benchmark.methods import with_paper_features
from vebi.benchmark.plan import FULL
from vebi.benchmark.refit import refit_with_descriptor
from vebi.data.collections import Subset, evenly_spaced
from vebi.data.sources import open_unlabelled
from vebi.models.load import load_classifier
from vebi.reports.colors import overlay

FOLDER = Path(__file__).parent / "heatmaps"
METHODS = ("vebi", "vebi-paper", "guided-grad-cam", "grad-cam")
IMAGES, PER_SHEET, SIDE = 40, 6, 200


def main() -> None:
    if sys.argv[1:] == ["score"]:
        print(json.dumps(score(), indent=1))
    elif sys.argv[1:2] == ["draw"] and len(sys.argv) == 6:
        draw(sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(__doc__)


def draw(spec: str, data: str, out: Path, sheets: Path, seed: int = 0) -> None:
    rng, rows = np.random.default_rng(seed), collect(spec, data, out)
    sheets.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(exist_ok=True)
    key = []
    for number, k in enumerate(rng.permutation(len(rows)), start=1):
        order = [METHODS[i] for i in rng.permutation(len(METHODS))]
        if number % PER_SHEET == 1:
            sheet = Image.new("RGB", (5 * (SIDE + 8) + 40, PER_SHEET * (SIDE + 34)), "white")
        name, label, image, maps = rows[k]
        top = (number - 1) % PER_SHEET * (SIDE + 34)
        write(sheet, (40, top + 4), f"{number}: {label}")
        for place, method in enumerate([None, *order]):
            tile = image if method is None else overlay(image, maps[method])
            left = 40 + place * (SIDE + 8)
            sheet.paste(Image.fromarray(np.asarray(tile)).resize((SIDE, SIDE)), (left, top + 28))
            if method:
                write(sheet, (left + SIDE // 2 - 8, top + 4), "ABCD"[place - 1])
        sheet.save(sheets / f"heatmaps_{(number - 1) // PER_SHEET + 1}.png")
        key.append({"image": name, "class": label, "order": order})
    (FOLDER / "key.json").write_text(json.dumps(key, indent=1) + "\n")


def collect(spec: str, data: str, out: Path) -> list[tuple[str, str, np.ndarray, dict[str, np.ndarray]]]:
    """Name, class, pixels and maps of images spread over all folds, each explained by a fit on the other folds."""
    images, folds = open_unlabelled(data), len(list(out.glob("fold*")))
    chosen = evenly_spaced(range(len(images)), IMAGES)
    rows = []
    for k in range(folds):
        run = out / f"fold{k}" / "run"
        interpretation = vebi.load(run, load_classifier(spec))
        paper = refit_with_descriptor(interpretation, run, Descriptor.paper(), FULL.mu)
        own = Subset(images, [i for i in chosen if i % folds == k])
        truth = find_predicted(interpretation.require_classifier(), own, len(own))
        methods = [method for method in with_paper_features(all_methods(), paper) if method.name in METHODS]
        shown = find_examples(interpretation, truth, methods, range(len(truth)))
        maps = {name: clip_for_display(shown.maps[name]) for name in METHODS}
        for n, label in enumerate(shown.classes):
            name = Path(truth.images.ids[n]).name
            rows.append((name, label, shown.images[n], {m: maps[m][n] for m in METHODS}))
    return rows


def write(sheet: Image.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(sheet).text(place, text, "black", ImageFont.load_default(18))


def score() -> dict[str, object]:
    """How often the map of vebi is ranked above each other one, and how often it is the best of all."""
    key, answers = (json.loads((FOLDER / name).read_text()) for name in ("key.json", "answers.json"))
    ranks = [
        {entry["order"]["ABCD".index(letter)]: place for place, letter in enumerate(answer)}
        for entry, answer in zip(key, answers, strict=True)
    ]
    ours, *others = METHODS
    above = {other: sum(rank[ours] < rank[other] for rank in ranks) for other in others}
    return {"images": len(key), "vebi above": above, "best of all": sum(rank[ours] == 0 for rank in ranks)}


if __name__ == "__main__":
    main()
