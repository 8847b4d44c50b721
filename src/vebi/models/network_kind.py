"""Networks that cannot be looked into, and what is needed instead."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vebi.errors import ModelError, join_names
from vebi.models.evaluation import is_compiled
from vebi.models.model_errors import errors_of_parts


@errors_of_parts()
def unwrap(module: nn.Module) -> nn.Module:
    """The module under what torch.compile or DataParallel have wrapped around it.

    Args:
        module: A network.

    Raises:
        ModelError: No activation or no gradient can be seen in the module.
    """
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel) or is_compiled(module):
        inner = module._orig_mod if is_compiled(module) else module.module
        assert isinstance(inner, nn.Module)
        module = inner
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ModelError(
            "the model is scripted or traced by torch.jit, and its layers cannot be seen: "
            "give the module that it was made from"
        )
    if any(".quantized" in type(part).__module__ for part in module.modules()):
        raise ModelError(
            "the model is quantised, and no gradient passes through it: give the model before quantisation"
        )
    return module


@errors_of_parts()
def check_have_values(module: nn.Module) -> None:
    """Raises ModelError where a parameter or buffer is lazy, sparse, on the meta device or of inference mode."""
    weights = _weights(module)
    lazy = [name for name, value in weights.items() if is_lazy(value)]
    if lazy:
        raise ModelError(
            f"the model is lazy, and {join_names(lazy)} have no shape yet: let it see an image once before it is given"
        )
    sparse = [name for name, value in weights.items() if value.layout != torch.strided]
    if sparse:
        raise ModelError(f"the weights {join_names(sparse)} are sparse, and dense ones are needed: use to_dense()")
    empty = [name for name, value in weights.items() if value.is_meta]
    if empty:
        raise ModelError(f"{join_names(empty)} are on the meta device and have no values: load the weights into them")
    untraced = [name for name, value in weights.items() if value.is_inference()]
    if untraced:
        raise ModelError(
            f"the weights {join_names(untraced)} were made in torch.inference_mode, and no gradient leads to them: "
            f"make the model outside of it"
        )


@errors_of_parts()
def check_finite(module: nn.Module) -> None:
    """Raises ModelError where a weight has no values, or one that is stored holds NaN or infinity.

    Minus infinity is no fault of a buffer: attention is masked with it.
    """
    check_have_values(module)
    learned = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        widened = value.float() if value.itemsize == 1 else value
        sound = widened.isfinite() if name in learned else widened < torch.inf
        if not sound.all():
            raise ModelError(
                f"the weights hold NaN or infinity in {name}: the network is broken, train or save it again"
            )


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict([*module.named_parameters(), *module.named_buffers()])
