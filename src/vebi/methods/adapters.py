"""Methods of other libraries as Explainers: captum's and pytorch-grad-cam's."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.methods.base import Explainer
from vebi.methods.cam import enlarge

Reduction = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n h w"]]


def captum(attribution: Any, *, reduction: Reduction = heatmaps.added, **options: Any) -> Explainer:
    """A method of captum, made for the model's module: ``captum(IntegratedGradients(classifier.module), n_steps=20)``.

    ``reduction`` makes one map of the colours (or of a layer's channels): ``heatmaps.added``, ``heatmaps.strongest`` or
    ``heatmaps.from_gradient``; maps of a layer are enlarged bilinearly. ``options`` go to ``attribute``. The
    network runs in the mode that it is in.
    """

    def explain(images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        with torch.inference_mode(False), torch.enable_grad():
            found = attribution.attribute(images.detach().clone().requires_grad_(), target=targets.clone(), **options)
        return enlarge(reduction(found.detach()), images, "bilinear")

    return explain


def grad_cam(cam: Any, **options: Any) -> Explainer:
    """A method of pytorch-grad-cam, made for the model's module: ``grad_cam(EigenCAM(module, [module.layer4]))``.

    ``options`` go to its call, as ``eigen_smooth=True``. Its maps are scaled to [0, 1] picture by picture; it sets the
    network to evaluation mode, and its hooks stay as long as ``cam`` does.
    """

    def explain(images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        wanted = [itemgetter(c) for c in targets.tolist()]  # of one picture's scores the one of its class
        with torch.inference_mode(False), torch.enable_grad():
            found = cam(input_tensor=images.detach().clone(), targets=wanted, **options)
        return torch.from_numpy(found).to(images.device)

    return explain
