"""The model under study: a module, its preprocessing of images, and the names of its classes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vebi.errors import ModelError, as_names, require
from vebi.files import check_names
from vebi.models.evaluation import eval_mode, widen
from vebi.models.final_activation import SCORES, SIGMOID, FinalActivation
from vebi.models.model_errors import errors_of_forward, errors_of_parts
from vebi.models.network_kind import check_have_values, unwrap
from vebi.models.preprocess import Preprocess
from vebi.models.probe import Probe, noise, probe, versions


@dataclass(frozen=True)
class Classifier:
    """A trained network N x C x H x W -> N x classes with its preprocessing and its class names.

    Threads may share it: one of them at a time works with the network, which is in evaluation mode meanwhile. None of
    them may change its mode or its weights.

    Attributes:
        model: The network; what ``torch.compile`` or ``DataParallel`` have wrapped around it is taken off.
        preprocess: How an image becomes its input.
        class_names: One name per output, in the order of the outputs, or None where the classes have no names.
        class_ids: What folders of images are called instead, as by WordNet ids, one for each name, or None.
        spec: What ``load_classifier`` made the network from, so that a run can load it again; None for a network made
            in Python.
        weights: The path of its weights file, or None.

    Raises:
        UsageError: An argument has another type, two classes have one name or id, or there is not one id for each name.
        ModelError: The network is scripted, traced or quantised, or its weights are lazy, sparse, without
            values or made in ``torch.inference_mode``.

    Example:
        >>> network = vebi.Classifier(classifier.model, classifier.preprocess, ("blue", "green", "red"))
        >>> image, label = vebi.open_images("images").load(0)
        >>> scores = network.logits(network.preprocess.prepare(image)[None])
        >>> scores.shape, network.class_names[scores.argmax()]
        (torch.Size([1, 3]), 'blue')
    """

    model: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None = None
    spec: str | None = None
    weights: str | None = None
    class_ids: tuple[str, ...] | None = None
    #: The last probe, by the state of the weights.
    _probed: dict[Any, Probe] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require("model", self.model, nn.Module, "a torch.nn.Module is needed: vebi.load_classifier takes a file")
        require("preprocess", self.preprocess, Preprocess, "a vebi.Preprocess is needed: make one")
        object.__setattr__(self, "model", unwrap(self.model))
        check_have_values(self.model)
        for name in ("class_names", "class_ids"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_names(name, getattr(self, name)) or None)
        check_names(self.class_names or (), self.class_ids)

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def zero_input(self, count: int = 1) -> Float[Tensor, "n c h w"]:
        """Inputs of zeros in the shape that the model takes.

        Args:
            count: How many inputs.

        Returns:
            ``count`` x C x ``size`` x ``size`` zeros on the model's device: the mean of each channel at every pixel.
        """
        size = self.preprocess.size
        return torch.zeros(count, len(self.preprocess.mean), size, size, dtype=torch.float32, device=self.device)

    def logits(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """The class scores of inputs, before any softmax or sigmoid that the model ends in.

        Args:
            inputs: N x C x H x W, normalised, on the model's device.

        Returns:
            N x classes, finite, in single precision at least.

        Raises:
            ModelError: The model fails, does not give one finite row of two or more scores per image, or gives another
                number of classes than there are names; or the scores of an image are not its own, see ``probe``.
        """
        ending = self._ending()
        if ending == SCORES:
            return self._outputs(inputs)
        with FinalActivation() as final:
            outputs = self._outputs(inputs)
        other, scores = final.before(outputs)
        if other != ending:
            raise ModelError(
                f"the model ends in {ending} for some images and in {other} for others: give one that ends in scores"
            )
        return widen(scores)

    def probabilities(self, logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
        """The probabilities of classes: the sigmoid of class scores where the model ends in one, else their softmax.

        Args:
            logits: N x classes.

        Returns:
            N x classes, from 0 to 1.
        """
        return logits.sigmoid() if self._ending() == SIGMOID else logits.softmax(dim=1)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """The model in evaluation mode, see ``eval_mode``, while the block runs; how it ends is found out before.

        Raises:
            ModelError: The model fails, or the scores of an image are not its own, or another thread has put the model
                into training mode meanwhile.
        """
        self._ending()  # its passes must not be recorded among those of the block
        with eval_mode(self.model):
            yield
            disturbed = any(part.training for part in self.model.modules()) and not self.probe().trains
        if disturbed:
            raise ModelError(
                "the model was put into training mode while it was worked with, as by another thread, and what came "
                "out may be wrong: give each thread a model of its own"
            )

    def probe(self) -> Probe:
        """What the model gives for two images of noise; it is asked again once its weights have changed.

        Raises:
            ModelError: The model fails, or the scores of an image are not its own.
        """
        shape = (len(self.preprocess.mean), self.preprocess.size, self.preprocess.size)
        with errors_of_forward((1, *shape)):  # parts of a network can be changed, too, and name themselves by code
            state = (repr(self.model), *versions(self.model).values())
        made = self._probed.get(state)
        if made is None:
            with errors_of_forward((1, *shape)):
                inputs = noise(shape).to(self.device)
            with eval_mode(self.model):
                made = probe(self.model, self._outputs, inputs)
            self._probed.clear()
            self._probed[state] = made
        return made

    def _ending(self) -> str:
        """How the model ends: that does not change with its weights."""
        return next((made.ending for made in list(self._probed.values())), None) or self.probe().ending

    def _outputs(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """What the model gives, checked."""
        with errors_of_forward(tuple(inputs.shape)):
            outputs: object = self.model(inputs.to(self._dtype))
        return _check_outputs(outputs, len(inputs), self.class_names)

    @property
    def _dtype(self) -> torch.dtype:
        """The precision that the model computes in: that of its first parameter."""
        return next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32)

    def sha256(self) -> str:
        """The sha256 of all parameters and buffers with their names and shapes, but for what a forward pass changes."""
        digest, changing = hashlib.sha256(), tuple[str, ...]()
        with suppress(ModelError):  # one that gives no class scores has a hash, too
            changing = self.probe().changing
        with errors_of_parts():
            state = self.model.state_dict()
        for name, value in sorted(state.items()):
            if name in changing:
                continue
            array = value.detach().cpu().contiguous()
            digest.update(f"{name}\0{tuple(array.shape)}\0{array.dtype}\0".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def check_classifier(given: object) -> None:
    """Refuses what is no classifier, such as the network itself.

    Raises:
        UsageError: It is none.
    """
    hint = "use vebi.Classifier(network, vebi.Preprocess(...), class_names), or vebi.load_classifier for a file"
    require("the classifier", given, Classifier, f"a vebi.Classifier is needed: {hint}")


def _check_outputs(outputs: object, count: int, names: tuple[str, ...] | None) -> Tensor:
    """The outputs of so many images, widened; raises ModelError where they cannot be class scores."""
    if isinstance(outputs, Tensor):
        _check_kind(outputs)
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != count or outputs.shape[1] < 2:
        given = f"a tensor of shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ModelError(
            f"for {count} images the model gives {given}, but N x C scores of two or more classes are needed: wrap it "
            f"in a module that returns them"
        )
    if not outputs.isfinite().all():
        kind = str(outputs.dtype).removeprefix("torch.")
        raise ModelError(
            f"the model's class scores ({kind}) hold NaN or infinity: check its weights and the preprocessing"
        )
    if names is not None and outputs.shape[1] != len(names):
        raise ModelError(
            f"the model gives {outputs.shape[1]} class scores, but {len(names)} class names are known "
            f"({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}): name as many classes as it has"
        )
    return widen(outputs)


def _check_kind(outputs: Tensor) -> None:
    """Raises ModelError where outputs are no dense tensor of real numbers, of which not even the shape may be known."""
    kind = str(outputs.dtype).removeprefix("torch.")
    refusals = (
        (outputs.is_nested, "a nested tensor, but one row per image is needed: use to_padded_tensor()"),
        (outputs.layout != torch.strided, f"{outputs.layout}, but a dense tensor is needed: use to_dense()"),
        (outputs.is_meta, "on the meta device, but numbers are needed: let it compute on the device of its input"),
        (not outputs.is_floating_point(), f"{kind}, but real numbers are needed: let it return those"),
        (outputs.itemsize == 1, f"{kind}, but numbers of 16 bits or more are needed: use float()"),
    )
    for is_refused, reason in refusals:
        if is_refused:
            raise ModelError(f"the model's class scores are {reason}")
