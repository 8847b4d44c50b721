"""The reference networks by name: what `vebi train` can train and a checkpoint may name."""

from vebi.errors import UsageError
from vebi.models.flower_resnet import FlowerResNet
from vebi.models.flower_vgg import FlowerVgg
from vebi.models.flowernet import FlowerNet

#: The class of each reference network: made with the number of classes; ``mean``, ``std`` and ``size`` say its
#: preprocessing, and its last layer is called ``linear``.
Architecture = type[FlowerNet | FlowerResNet | FlowerVgg]
ARCHITECTURES: dict[str, Architecture] = {
    "flowernet": FlowerNet,
    "flower-resnet": FlowerResNet,
    "flower-vgg": FlowerVgg,
}


def find_architecture(name: str) -> Architecture:
    """The class of a reference network.

    Args:
        name: ``flowernet``, ``flower-resnet`` or ``flower-vgg``; its spec is ``vebi:`` and this name.

    Returns:
        The class.

    Raises:
        UsageError: There is no such network.
    """
    if name not in ARCHITECTURES:
        raise UsageError(f"architecture is {name!r}: choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
