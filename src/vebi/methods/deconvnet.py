"""The deconvnet (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 2.1)."""

from dataclasses import dataclass

from vebi.methods.base import LedBack


@dataclass(frozen=True)
class Deconvnet(LedBack):
    """The class score led back under the deconvnet's rule."""

    rule = "deconvnet"
