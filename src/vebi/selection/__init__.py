"""Why these features and no others: the path along mu, how it holds on pictures that were held out, and stability.

The table is dealt into parts once. Five groups of them are the folds of the cross-validation, random halves of them the
half samples of stability selection.
"""

from vebi.selection.again import Stability, stability
from vebi.selection.along import MuPath, mu_path
from vebi.selection.split import FOLDS, Split

__all__ = ["FOLDS", "MuPath", "Split", "Stability", "mu_path", "stability"]
