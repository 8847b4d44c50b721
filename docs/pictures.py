"""The pictures of the README, from a demo:  python docs/pictures.py demo  (the one of the page needs chromium)"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from vebi import explain, load, load_classifier
from vebi.datasets.flowers import generate
from vebi.interpretation.contact_sheet import enlarge, sheet
from vebi.reports.figure import figure, heat_panel

OUT = Path(__file__).parent / "pictures"
SHOWN = "class4_img28_p0_r0.png"
SIDE = 336


def main(demo: Path) -> None:
    OUT.mkdir(exist_ok=True)
    interpretation = load(demo / "run", load_classifier(demo / "network.safetensors"))
    pictures = sorted((demo / "flowers" / "images").rglob("*.png"))
    picture = next(path for path in pictures if path.name == SHOWN)

    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch), variant="double-12c", images_per_class=8, size=200, seed=2)
        grown = sorted(Path(scratch).glob("images/*/*.png"), key=place)
        frames = sorted({place(path)[1] for path in grown})
        # every class once, from a young flower to a full one
        wanted = [(5 * k % 12, frames[k * 7 // 11]) for k in range(12)]
        shown = [Image.open(next(p for p in grown if place(p) == w)) for w in wanted]
        rows = [side_by_side(shown[:6], 0), side_by_side(shown[6:], 0)]
        stacked(rows).save(OUT / "flowers.png", optimize=True)

    fixed, plain = (explain(interpretation, picture, stride_fix=fix) for fix in ("centred", None))
    figure(fixed, interpretation).save(OUT / "explanation.png")
    panels = [enlarge(fixed.picture, SIDE)]
    panels += [heat_panel(e, e.scaled()[-1], SIDE) for e in (fixed, plain)]
    side_by_side(panels, 12).save(OUT / "stride-fix.png")

    deep = max((interpretation.exemplar(e.feature) for e in fixed.evidence), key=lambda x: x.average.shape)
    sheet(deep).save(OUT / "feature.png")

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser:
        photograph(browser, demo / "report.html", OUT / "report.png")


def photograph(browser: str, page: Path, out: Path, width: int = 1200, height: int = 1180) -> None:
    """The top of a page as a browser shows it."""
    options = "--headless --no-sandbox --disable-gpu --hide-scrollbars".split()
    subprocess.run(
        [browser, *options, f"--window-size={width},{height}", f"--screenshot={out}", page.resolve().as_uri()],
        check=True,
        capture_output=True,
    )


def place(path: Path) -> tuple[int, int]:
    """Class and frame of a flower."""
    return tuple(int(number) for number in re.match(r"class(\d+)_img(\d+)_", path.name).groups())


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
    for k, row in enumerate(rows):
        page.paste(row, (0, k * row.height))
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
