"""The metrics that ask the model itself, and which direction of them is better."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vebi.intervention.deletion import deletion_curve, insertion_curve


@dataclass(frozen=True)
class CurveMetric:
    """A metric of heatmaps that needs no mask: the area, in [0, 1], under a curve of class probabilities.

    Attributes:
        name: Its key in results.
        title: What a reader calls it.
        curve: Classifier, images, targets and maps, and options by name -> one curve per image, see ``deletion_curve``.
        baseline: What the paper replaces pixels by.
        higher_is_better: Whether a larger area is better.

    Example:
        >>> [(metric.name, metric.baseline, metric.higher_is_better) for metric in vebi.intervention.CURVE_METRICS]
        [('deletion', 'grey', False), ('insertion', 'blur', True)]
    """

    name: str
    title: str
    curve: Callable[..., Tensor]
    baseline: str
    higher_is_better: bool


#: Petsiuk et al., BMVC 2018.
CURVE_METRICS: tuple[CurveMetric, ...] = (
    CurveMetric("deletion", "area under the deletion curve", deletion_curve, "grey", higher_is_better=False),
    CurveMetric("insertion", "area under the insertion curve", insertion_curve, "blur", higher_is_better=True),
)
