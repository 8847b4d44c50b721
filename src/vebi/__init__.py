"""vebi shows what an image classifier has learned and why it decides as it does."""

from importlib import import_module

_HOMES = {
    "Classifier": "models.classifier",
    "Preprocess": "models.preprocess",
    "load_classifier": "models.load",
    "Interpretation": "interpretation.result",
    "load": "interpretation.result",
    "interpret": "interpretation.fit",
    "Explanation": "explanation.result",
    "Evidence": "explanation.result",
    "explain": "explanation.explain",
    "write_gallery": "reports.gallery",
    "write_report": "reports.study_page",
    "audit": "backprop.graph_audit",
    "feature_maps": "backprop.feature_maps",
    "Feature": "activations.layers",
    "list_layers": "activations.layers",
    "VebiError": "errors",
    "VebiWarning": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Loads what is asked for when it is asked for, so that ``import vebi`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vebi' has no attribute {name!r}")
    return getattr(import_module(f"vebi.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
