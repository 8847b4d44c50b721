"""Whatever a model raises is one sentence: it is somebody else's code."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from vebi.errors import ModelError, VebiError, is_out_of_memory, text_of
from vebi.provenance import import_advice, is_of_torchvision


@contextmanager
def errors_of_forward(shape: tuple[int, ...]) -> Iterator[None]:
    """Turns whatever a forward pass of inputs of a shape raises into one sentence."""
    advice = "check size and mean, and whether it takes any number of images"
    with _errors(f"the model fails on an input of shape {shape}", advice):
        yield


@contextmanager
def errors_of_backward() -> Iterator[None]:
    """Turns whatever a backward pass through the graph of a model raises into one sentence."""
    advice = "take out what lets no gradient through, such as a checkpoint with use_reentrant=True or a hook of its own"
    with _errors("no backward pass leads through the model", advice):
        yield


@contextmanager
def errors_of_mode(what: str) -> Iterator[None]:
    """Turns whatever a module's own ``eval``, ``train`` or ``to`` raises into one sentence.

    Args:
        what: What is done, as in "the model cannot be ...".
    """
    with _errors(f"the model cannot be {what}", "leave eval, train and to as torch.nn.Module has them"):
        yield


@contextmanager
def errors_of_attributes() -> Iterator[None]:
    """Turns whatever the attributes of a module raise when they are read into one sentence."""
    with _errors("the model does not say its preprocessing and classes", "let its attributes be plain values"):
        yield


@contextmanager
def errors_of_parts() -> Iterator[None]:
    """Turns whatever a module raises when its parts and weights are listed or loaded into one sentence."""
    advice = "leave modules, named_parameters and state_dict as torch.nn.Module has them"
    with _errors("the parts and weights of the model cannot be listed", advice):
        yield


@contextmanager
def _errors(what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except (VebiError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a model can raise what is no Exception, as SystemExit
        if is_out_of_memory(error):
            raise VebiError(f"the model runs out of memory ({what}): take a smaller batch") from error
        if isinstance(error, RecursionError):
            advice = "nest its modules less deep, and let none hold itself"
        elif is_of_torchvision(error):
            advice = import_advice(error, "torchvision")
        text = shorten(text_of(error), 300)
        raise ModelError(f"{what} ({type(error).__name__}: {text}): {advice}") from error
