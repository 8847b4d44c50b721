"""Methods of other libraries as Explainers: captum's, pytorch-grad-cam's and zennit-crp's."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.backprop.heatmaps import upsample
from vebi.methods.base import Explainer

#: Attributions of every channel -> one map per image.
Reduction = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n h w"]]


def captum(attribution: Any, *, reduction: Reduction = heatmaps.channel_sum, **options: Any) -> Explainer:
    """Wraps a method of captum.

    The network runs in the mode that it is in. Maps of a layer are upsampled bilinearly.

    Args:
        attribution: A method of ``captum.attr``, made for ``classifier.model``.
        reduction: What makes one map of the channels: ``channel_sum``, ``channel_absmax`` or ``positive_norm`` of
            ``vebi.backprop.heatmaps``.
        **options: Go to ``attribution.attribute``.

    Returns:
        The method as an ``Explainer``.

    Example:
        Integrated gradients (needs captum)::

            captum(IntegratedGradients(classifier.model), n_steps=20)
    """

    def explain(images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        with torch.inference_mode(False), torch.enable_grad():
            inputs = images.detach().clone().requires_grad_()
            attributions = attribution.attribute(inputs, target=targets.clone(), **options)
        return upsample(reduction(attributions.detach()), images.shape[2:])

    return explain


def grad_cam(cam: Any, **options: Any) -> Explainer:
    """Wraps a method of pytorch-grad-cam.

    Its maps are scaled to [0, 1] image by image. It sets the network to evaluation mode, and its hooks stay as long as
    ``cam`` does.

    Args:
        cam: A method of ``pytorch_grad_cam``, made for ``classifier.model``.
        **options: Go to its call.

    Returns:
        The method as an ``Explainer``.

    Example:
        Eigen-CAM of a layer (needs pytorch-grad-cam)::

            grad_cam(EigenCAM(classifier.model, [classifier.model.layer4]), eigen_smooth=True)
    """

    def explain(images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        class_scores = [itemgetter(c) for c in targets.tolist()]  # of the scores of an image that of its class
        with torch.inference_mode(False), torch.enable_grad():
            maps = cam(input_tensor=images.detach().clone(), targets=class_scores, **options)
        return torch.from_numpy(maps).to(images.device)

    return explain


def zennit_crp(
    attribution: Any, composite: Any, conditions: Mapping[str, Sequence[int]] | None = None, **options: Any
) -> Explainer:
    """Wraps layer-wise relevance propagation (LRP) and concept relevance propagation (CRP) of zennit-crp.

    The relevance of an image starts as the score of its target, before any softmax, so it has another sign where that
    is below zero; ``init_rel=1`` starts it as 1 whatever the score. The network runs in the mode that it is in.

    Args:
        attribution: A ``CondAttribution`` of ``crp.attribution``, made for ``classifier.model``; it freezes the
            parameters.
        composite: The rules of LRP, such as ``EpsilonPlus()`` of ``zennit.composites``.
        conditions: Name of a module -> the channels that relevance may pass there; none for plain LRP.
        **options: Go to the call of ``attribution``.

    Returns:
        The method as an ``Explainer``; its maps are signed.

    Example:
        The part of the LRP map that goes through channel 12 of a layer (needs zennit-crp)::

            zennit_crp(CondAttribution(classifier.model), EpsilonPlus(), {"layer4": [12]})
    """

    def explain(images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        wanted = [{"y": [c], **(conditions or {})} for c in targets.tolist()]
        with torch.inference_mode(False), torch.enable_grad():
            inputs = images.detach().clone().requires_grad_()
            heatmap: Tensor = attribution(inputs, wanted, composite, **options).heatmap
        return heatmap

    return explain
