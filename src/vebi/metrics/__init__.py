"""Metrics of heatmaps, most against masks: (maps, masks) -> one score per image. Pure functions of tensors.

Maps may be of any real type: they are compared in single precision, or in double precision where they are given so.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "base": ["Metric"],
        "grid_artifact": ["grid_energy", "low_pass_correlation", "white_noise"],
        "iou": ["auc_iou", "best_iou", "iou_curve"],
        "pointing": ["grid_pointing", "pointing_game"],
        "precision": ["average_precision"],
        "registry": ["METRICS"],
        "relevance": ["relevance_mass", "relevance_rank"],
        "similarity": ["is_empty", "rank_correlation", "structural_similarity"],
        "sparseness": ["gini_index"],
    },
)
