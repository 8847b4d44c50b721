"""The forms that petals can have: in the variant shape-6c the form is the class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PetalForm:
    """The petals of a flower, which has an outer and an inner whorl of them.

    Attributes:
        counts: Petals of the two whorls.
        lengths: Their lengths; a full-grown head is 2 units wide.
        half_widths: Half of their widths.
        rise: Exponent of the width towards the base: large ones make a narrow claw.
        fall: Exponent of the width towards the tip: small ones make a blunt end.
        notch: Depth of the notch in the tip, as a part of the length.
        notch_width: Its width, as a part of the half width.
        opening: How far petals open, as a part of the way.
    """

    counts: tuple[int, int] = (8, 7)
    lengths: tuple[float, float] = (1.0, 0.74)
    half_widths: tuple[float, float] = (0.37, 0.27)
    rise: float = 0.75
    fall: float = 0.42
    notch: float = 0.05
    notch_width: float = 0.22
    opening: float = 1.0


ROUND = PetalForm()

FORMS = {
    "round": ROUND,
    "narrow": PetalForm((17, 13), half_widths=(0.085, 0.075), rise=0.3, fall=0.25, notch=0.0),
    "star": PetalForm((5, 0), half_widths=(0.36, 0.0), rise=0.8, fall=1.5, notch=0.0),
    "clover": PetalForm((3, 0), (0.98, 0.0), (0.66, 0.0), rise=1.0, fall=0.3, notch=0.22, notch_width=0.3),
    "spoon": PetalForm((9, 0), half_widths=(0.27, 0.0), rise=2.0, fall=0.45, notch=0.0),
    "cup": PetalForm((5, 0), half_widths=(0.42, 0.0), opening=0.3),
}
