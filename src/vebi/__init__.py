"""vebi shows what an image classifier has learned and why it decides as it does."""

from importlib.metadata import version as _version

import lazy_loader as _lazy

__version__ = _version("vebi")

# what is asked for is imported when it is asked for, so that `import vebi` costs nothing
__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["benchmark", "datasets", "intervention", "lasso", "methods", "metrics"],
    submod_attrs={
        "activations.descriptors": ["Descriptor"],
        "activations.layers": ["Feature", "Layer", "list_layers"],
        "activations.table": ["DescriptorTable"],
        "backprop.feature_maps": ["feature_maps"],
        "backprop.graph_audit": ["Finding", "audit_backward"],
        "data.sources": ["open_images"],
        "errors": [
            "ImageError",
            "InputError",
            "MissingExtraError",
            "ModelError",
            "RunError",
            "UsageError",
            "VebiError",
            "VebiWarning",
        ],
        "explanation.assessment": ["Assessment", "Example", "assess"],
        "explanation.explain": ["explain", "explain_each"],
        "explanation.recipe": ["Recipe"],
        "explanation.result": ["Evidence", "Explanation"],
        "interpretation.diagnostics": ["Diagnostics"],
        "interpretation.exemplars": ["Exemplar"],
        "interpretation.encoded_image": ["EncodedImage"],
        "interpretation.fit": ["interpret"],
        "interpretation.mu_path": ["MuPath"],
        "interpretation.result": ["Interpretation", "load"],
        "interpretation.settings": ["DataSource", "FitSettings", "ModelSource"],
        "interpretation.stability": ["FeatureStability", "Stability"],
        "methods.base": ["Explainer"],
        "models.classifier": ["Classifier"],
        "models.load": ["load_classifier"],
        "models.preprocess": ["Preprocess"],
        "reports.gallery": ["write_gallery"],
        "reports.run_report.page": ["write_report"],
    },
)
