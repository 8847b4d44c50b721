"""Copies of a model whose parameters are random: what explains the model has to change with them.

A layer is a module that has parameters of its own. A norm is part of the layer that runs before it, and a module whose
parameters are used though it does not run itself is part of the innermost one around it that runs. Layers stand in the
order in which they start, which need not be that of registration; one that runs several times stands where it starts
last.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import nn

from vebi.errors import ModelError, UsageError
from vebi.models.classifier import Classifier

MODES = ("cascading", "independent")
_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def parameter_layers(classifier: Classifier) -> list[str]:
    """The layers with parameters in the order in which they run: what ``randomized_copy`` counts from the end.

    A norm belongs to the layer that runs before it and is not listed, unless there is none. A module that does not run
    itself, such as ``out_proj`` of ``nn.MultiheadAttention``, belongs to the innermost one around it that does.

    Args:
        classifier: The model; an input of zeros passes through it once.

    Returns:
        Names of modules, from the input to the output; the network itself is ``""``.

    Raises:
        ModelError: The outputs of the model are not the class scores that it needs to have.

    Example:
        >>> vebi.intervention.parameter_layers(classifier)
        ['conv1', 'conv2', 'linear']
    """
    return list(_group_modules(classifier))


def randomized_copy(classifier: Classifier, *, last: int, mode: str = "cascading", seed: int = 0) -> Classifier:
    """Copies a model with the parameters of some of its layers drawn at random; the given one is left as it is.

    Each module is drawn anew by its own ``reset_parameters``, as it was before training, and a norm with it: factors 1,
    offsets 0, and running statistics of mean 0 and variance 1, so that in evaluation mode a batch norm passes its input
    on unscaled. Of modules without ``reset_parameters``, and of parameters that it leaves alone, the trained values are
    permuted. Layers are drawn from the output down, on the CPU: with one seed the copy of ``last=3`` has the random
    parameters of that of ``last=2`` and one layer more, and it is the same on every device.

    Args:
        classifier: The model.
        last: How many layers from the output down, 1 to all of ``parameter_layers``.
        mode: ``"cascading"``, the ``last`` layers from the end on, or ``"independent"``, only the first of these.
        seed: Of the random parameters; the random state of PyTorch is left as it is.

    Returns:
        The copy, which no file describes: without ``spec`` and ``weights``.

    Raises:
        UsageError: Another mode, or a number of layers that the model does not have.
        ModelError: The network cannot be copied, or its outputs are not the class scores that it needs to have.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4: cascading and independent
        randomisation.

    Example:
        >>> copy = vebi.intervention.randomized_copy(classifier, last=1)
        >>> torch.equal(copy.model.linear.weight, classifier.model.linear.weight)
        False
        >>> torch.equal(copy.model.conv2.weight, classifier.model.conv2.weight)
        True
    """
    if mode not in MODES:
        raise UsageError(f"the mode is {mode!r}: choose {' or '.join(MODES)}")
    groups = list(_group_modules(classifier).values())
    if not 1 <= last <= len(groups):
        raise UsageError(
            f"last is {last}, but the model has {len(groups)} layers with parameters: count from 1 to that"
        )
    chosen = groups[-last:] if mode == "cascading" else [groups[-last]]
    try:
        with torch.inference_mode(False):  # no gradient ever leads to weights that are made in it
            model = deepcopy(classifier.model)
    except Exception as error:  # whatever a user's module raises
        raise ModelError(
            f"the network cannot be copied ({type(error).__name__}: {error}): make it one that copy.deepcopy copies"
        ) from error
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every other device, too
        for name in chain.from_iterable(reversed(chosen)):
            _randomize(model.get_submodule(name))
    return replace(classifier, model=model, spec=None, weights=None)


def _group_modules(classifier: Classifier) -> dict[str, list[str]]:
    """Layer -> the names of the modules that are drawn with it, in the order in which the layers start."""
    modules = dict(classifier.model.named_modules())
    parts: dict[str, list[str]] = {name: [] for name in _started(classifier)}
    for name, module in modules.items():
        if isinstance(module, _NORMS) or _own_parameters(module):
            parts[next(outer for outer in _outward(name) if outer in parts)].append(name)
    groups: dict[str, list[str]] = {}
    for name, inside in parts.items():
        if isinstance(modules[name], _NORMS) and groups:
            groups[next(reversed(groups))] += inside
        elif any(_own_parameters(modules[part]) for part in inside):
            groups[name] = inside
    return groups


def _started(classifier: Classifier) -> dict[str, None]:
    """Names of the modules that run, in the order of their last starts."""
    started: dict[str, None] = {}

    def pre_hook(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            started.pop(name, None)
            started[name] = None

        return hook

    handles = [part.register_forward_pre_hook(pre_hook(name)) for name, part in classifier.model.named_modules()]
    try:
        with classifier.evaluation(), torch.no_grad():
            classifier.logits(classifier.zero_input())
    finally:
        for handle in handles:
            handle.remove()
    return started


def _outward(name: str) -> list[str]:
    """A module and those around it, up to the network itself."""
    steps = name.split(".")
    return [".".join(steps[:k]) for k in range(len(steps), -1, -1)]


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _randomize(module: nn.Module) -> None:
    """Draws the parameters of a module by the generator of the CPU."""
    parameters = _own_parameters(module)
    trained = [parameter.detach().clone() for parameter in parameters]
    reset = getattr(module, "reset_parameters", None)
    if callable(reset) and len(list(module.parameters())) == len(parameters):  # others inside it are not to be reset
        device = next((value.device for value in chain(parameters, module.buffers())), torch.device("cpu"))
        module.cpu()
        reset()
        module.to(device)
    with torch.no_grad():
        for parameter, values in zip(parameters, trained, strict=True):
            if torch.equal(parameter, values):
                order = torch.randperm(values.numel(), device="cpu").to(values.device)
                parameter.copy_(values.flatten()[order].view_as(values))
