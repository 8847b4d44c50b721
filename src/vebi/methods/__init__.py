"""Methods that explain a class score by the pixels, each an ``Explainer``: (images, targets) -> heatmaps."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["adapters"],
    submod_attrs={
        "base": ["Explainer"],
        "cam": ["GradCam", "GradCamPlusPlus", "LayerCam"],
        "features": ["FeatureEvidence", "UpsampledActivations"],
        "finer_cam": ["FinerCam"],
        "gradient": ["Gradient", "InputXGradient", "IntegratedGradients", "SmoothGrad"],
        "guided_cam": ["GuidedCam"],
        "image_cues": ["BorderDistance", "Centre", "Edges", "RandomBlob", "Saturation", "Sharpness", "Silhouette"],
        "modified_backprop": ["Deconvnet", "GuidedBackprop"],
        "perturbation": ["Occlusion", "Rise", "ScoreCam"],
    },
)
