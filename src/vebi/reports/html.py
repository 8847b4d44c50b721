"""What every page is made with: one style sheet, images inside the file, formats of numbers and names."""

import base64
import io
import re
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup, escape
from PIL import Image

from vebi.reports.colors import RAMP

#: Pixels of the longer side up to which an image is stored without loss.
LOSSLESS = 64
#: How hard WebP tries on those, of 6: beyond it takes eight times as long for the same pixels in as many bytes.
LOSSLESS_EFFORT = 3


@dataclass(frozen=True)
class InlineImage:
    """An image inside a page.

    Attributes:
        src: A data address.
        width: In pixels.
        height: In pixels.
        small: Whether it is stored without loss; the browser then enlarges it by whole pixels.
    """

    src: str
    width: int
    height: int
    small: bool


def render_template(template: str, **content: object) -> str:
    """A template of this package as text.

    Args:
        template: Its file name.
        **content: Its variables; ``ramp`` (the stops of the colour map) and ``style`` (the style sheet) are added.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vebi.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "probability": probability, "number": number, "breakable": breakable}
    return environment.get_template(template).render(
        ramp=", ".join(f"rgb({r} {g} {b})" for r, g, b in RAMP),
        style=files("vebi.reports").joinpath("templates", "page.css").read_text(encoding="utf-8"),
        **content,
    )


def percent(share: float) -> str:
    """A share in [0, 1] in percent, with one digit."""
    return f"{100 * share:.1f} %" if share < 0.9995 else "100 %"


def probability(value: float) -> str:
    """A softmax probability in percent, which is never said to be 100."""
    return f"{100 * value:.1f} %" if value < 0.9995 else "more than 99.9 %"


def number(count: int) -> str:
    """A count with narrow spaces between the thousands."""
    return f"{count:,}".replace(",", "\u202f")


def breakable(name: str) -> Markup:
    """The name of a layer, which may be broken after its dots and its colon and nowhere else."""
    return Markup(re.sub(r"([.:])", r"\1<wbr>", str(escape(name))))


def inline(pixels: UInt8[np.ndarray, "h w 3"], most: int) -> InlineImage:
    """An image for a page.

    Args:
        pixels: h x w x 3.
        most: The pixels of its longer side at most; a larger image is scaled down.
    """
    image = Image.fromarray(pixels)
    if max(image.size) > most:
        image.thumbnail((most, most), Image.Resampling.LANCZOS)
    small = max(image.size) <= LOSSLESS
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=small, quality=90, method=LOSSLESS_EFFORT if small else 6)
    address = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return InlineImage(address, image.width, image.height, small)
