"""Interventions: evidence hidden in images, parameters randomised; what a map is worth shows in what they change."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "deletion": ["curve_area", "deletion_curve", "insertion_curve"],
        "randomize": ["parameter_layers", "randomized_copy"],
        "registry": ["CURVE_METRICS", "CurveMetric"],
    },
)
