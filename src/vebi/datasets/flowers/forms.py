"""The forms that petals can have: in the variant shape-6c the form is the class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PetalForm:
    """The outline of the petals of a flower, which has an outer and an inner whorl of them.

    Attributes:
        counts: Petals of the two whorls.
        lengths: Their lengths; a full-grown head is 2 units wide.
        half_widths: Half of their widths.
        rise: Exponent of the width towards the base: large ones make a narrow claw.
        fall: Exponent of the width towards the tip: small ones make a blunt end.
        notch: Depth of the notch in the tip, as a part of the length.
        notch_width: Its width, as a part of the half width.
        waves: Waves along each edge.
        wave_depth: Their depth, as a part of the width.
    """

    counts: tuple[int, int] = (8, 7)
    lengths: tuple[float, float] = (1.0, 0.74)
    half_widths: tuple[float, float] = (0.37, 0.27)
    rise: float = 0.75
    fall: float = 0.42
    notch: float = 0.05
    notch_width: float = 0.22
    waves: int = 0
    wave_depth: float = 0.0


ROUND = PetalForm()

FORMS = {
    "round": ROUND,
    "pointed": PetalForm((7, 6), half_widths=(0.25, 0.2), rise=0.9, fall=1.25, notch=0.0),
    "narrow": PetalForm((17, 13), half_widths=(0.085, 0.075), rise=0.3, fall=0.25, notch=0.0),
    "heart": PetalForm((5, 5), (1.0, 0.6), (0.44, 0.24), rise=1.1, fall=0.3, notch=0.34, notch_width=0.34),
    "wavy": PetalForm((7, 6), half_widths=(0.3, 0.24), rise=0.5, fall=0.6, notch=0.0, waves=4, wave_depth=0.55),
    "spoon": PetalForm((9, 8), (1.0, 0.66), (0.25, 0.18), rise=4.5, fall=0.5, notch=0.0),
}
