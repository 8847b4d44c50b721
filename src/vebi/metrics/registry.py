"""All metrics that score heatmaps against masks, in the order of a table's columns."""

from vebi.metrics.base import Metric
from vebi.metrics.iou import auc_iou, best_iou
from vebi.metrics.pointing import pointing_game
from vebi.metrics.precision import average_precision
from vebi.metrics.relevance import relevance_mass, relevance_rank

METRICS: tuple[Metric, ...] = tuple(
    Metric(function.__name__, title, function, low=0.0, high=1.0, higher_is_better=True, scale_free=scale_free)
    for function, title, scale_free in (
        (auc_iou, "area under the IoU curve", False),
        (best_iou, "best IoU", False),
        (average_precision, "average precision", True),
        (pointing_game, "pointing game", True),
        (relevance_mass, "relevance mass", True),
        (relevance_rank, "relevance rank", True),
    )
)
