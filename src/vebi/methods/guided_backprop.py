"""Guided backpropagation, "Deconv+GB" (Springenberg et al., "Striving for simplicity", 2015, section 3.4)."""

from dataclasses import dataclass

from vebi.methods.base import LedBack


@dataclass(frozen=True)
class GuidedBackprop(LedBack):
    """The class score led back under the guided rule."""

    rule = "guided"
