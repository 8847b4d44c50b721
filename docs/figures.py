"""Makes the figures of the README from a demo:  python docs/figures.py demo  (that of the report needs chromium)

With the run of `vebi fit benchmarks/photographs.py:groups` behind it that of photographs, too:
python docs/figures.py demo RUN
"""

import re
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from vebi import Recipe, explain, load, load_classifier
from vebi.backprop.heatmaps import clip_for_display
from vebi.datasets.flowers import generate
from vebi.interpretation.contact_sheet import contact_sheet, resize_square
from vebi.methods import GradCam, GuidedCam
from vebi.reports.figure import explanation_figure, heat_panel

OUT = Path(__file__).parent / "figures"
IMAGE = "class4_img28_p0_r0.png"
SIDE = 336
#: Photographs in packages: a cat by Stefan van der Walt, who gave it to the public domain, and the Summer Palace in
#: Beijing by Daniel Büchele, CC BY 2.0.
PHOTOGRAPHS = ("skimage", "data/chelsea.png"), ("sklearn", "datasets/images/china.jpg")


def main(demo: Path, photographs: Path | None = None) -> None:
    OUT.mkdir(exist_ok=True)
    if photographs:
        draw_photographs(photographs).save(OUT / "photographs.webp", quality=88)
    interpretation = load(demo / "run", load_classifier(demo / "network.safetensors"))
    image = next((demo / "flowers" / "images").rglob(IMAGE))
    draw_flowers().save(OUT / "flowers.png", optimize=True)

    fixed, plain = (explain(interpretation, image, recipe=Recipe.paper(stride_fix=fix)) for fix in ("centred", None))
    explanation_figure(explain(interpretation, image), interpretation).save(OUT / "explanation.png")
    panels = [resize_square(fixed.image, SIDE)]
    panels += [heat_panel(x, x.display_maps()[-1], SIDE) for x in (fixed, plain)]
    side_by_side(panels, 12).save(OUT / "stride-fix.png")

    exemplars = [interpretation.exemplar(evidence.feature) for evidence in fixed.evidence]
    deepest = max(exemplars, key=lambda x: x.receptive_field)
    contact_sheet(deepest).save(OUT / "feature.png")

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser:
        take_screenshot(browser, demo / "report.html", OUT / "report.png")


def draw_flowers() -> Image.Image:
    """Every class of double-12c once, from a young flower to a full-grown one."""
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, variant="double-12c", images_per_class=8, size=200, seed=2)
        paths = {class_and_frame(path): path for path in Path(folder).glob("images/*/*.png")}
        frames = sorted({frame for _, frame in paths})
        images = [Image.open(paths[5 * k % 12, frames[k * 7 // 11]]) for k in range(12)]
        return stacked([side_by_side(images[:6], 0), side_by_side(images[6:], 0)])


def draw_photographs(run: Path) -> Image.Image:
    """Photographs with the map of vebi and those of its rivals."""
    network = Path(__file__).parent.parent / "benchmarks" / "photographs.py"
    interpretation = load(run, load_classifier(f"{network}:groups"))
    rows = []
    for package, name in PHOTOGRAPHS:
        path = Path(import_module(package).__file__).parent / name
        explanation = explain(interpretation, path)
        titles = [f"{explanation.target}, {explanation.probability:.0%}", "vebi", "Grad-CAM", "Guided Grad-CAM"]
        rows.append([titled(text if not rows or text == titles[0] else "") for text in titles])
        classifier = interpretation.require_classifier()
        inputs = classifier.preprocess.prepare(Image.open(path).convert("RGB"))[None]
        target = torch.tensor([interpretation.class_names.index(explanation.target)])
        cam = GradCam(classifier)
        rivals = [method(inputs, target).clamp(min=0).numpy() for method in (cam, GuidedCam(cam))]
        maps = [clip_for_display(heat)[0] for heat in (explanation.combined_map()[None], *rivals)]
        rows.append([resize_square(explanation.image, SIDE), *(heat_panel(explanation, heat, SIDE) for heat in maps)])
    return stacked([side_by_side(row, 12) for row in rows])


def titled(text: str) -> Image.Image:
    """A line over a panel."""
    line = Image.new("RGB", (SIDE, 36), "white")
    ImageDraw.Draw(line).text((4, 6), text, (34, 34, 40), ImageFont.load_default(20))
    return line


def take_screenshot(browser: str, page: Path, out: Path, width: int = 1200, height: int = 1180) -> None:
    """The top of a page as a browser shows it."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    subprocess.run(
        [browser, *options, f"--window-size={width},{height}", f"--screenshot={out}", page.resolve().as_uri()],
        check=True,
        capture_output=True,
    )


def class_and_frame(path: Path) -> tuple[int, int]:
    """Class index and frame of a flower, by the name of its file."""
    match = re.match(r"class(\d+)_img(\d+)_", path.name)
    return int(match[1]), int(match[2])


def side_by_side(images: list[Image.Image], gap: int) -> Image.Image:
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    page = Image.new("RGB", (width, images[0].height), "white")
    left = 0
    for image in images:
        page.paste(image, (left, 0))
        left += image.width + gap
    return page


def stacked(rows: list[Image.Image]) -> Image.Image:
    page = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    return page


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
