"""What every page is made with: one look, pictures inside the file, numbers as words."""

import base64
import io
import re
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup, escape
from PIL import Image

from vebi.reports.colors import RAMP

LOSSLESS = 64


def fill(template: str, **content: Any) -> str:
    """A template of this package as text; beside its content it is given the look that pages share."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vebi.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "sure": sure, "number": number, "breakable": breakable}
    return environment.get_template(template).render(
        ramp=", ".join(f"rgb({r} {g} {b})" for r, g, b in RAMP),
        style=files("vebi.reports").joinpath("templates", "page.css").read_text(encoding="utf-8"),
        **content,
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.9995 else "100 %"


def sure(probability: float) -> str:
    return f"{100 * probability:.1f} %" if probability < 0.9995 else "more than 99.9 %"


def number(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


def breakable(name: str) -> Markup:
    """A layer's name, which may be broken after its dots and its colon and nowhere else."""
    return Markup(re.sub(r"([.:])", r"\1<wbr>", str(escape(name))))


def inline(pixels: UInt8[np.ndarray, "h w 3"], most: int) -> dict[str, Any]:
    """A picture for the page, scaled down where it is larger than ``most`` pixels: ``src``, a data address, and its
    ``width`` and ``height``. Small ones keep every pixel as it is: the browser enlarges them by whole pixels."""
    image = Image.fromarray(pixels)
    if max(image.size) > most:
        image.thumbnail((most, most), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=max(image.size) <= LOSSLESS, quality=90, method=6)
    address = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"src": address, "width": image.width, "height": image.height, "small": max(image.size) <= LOSSLESS}
