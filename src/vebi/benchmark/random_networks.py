"""Networks that know nothing, or other things, with what vebi says of them: each is made once."""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property

from vebi.benchmark.ground_truth import select_per_class
from vebi.benchmark.refit import refit_on_network
from vebi.data.collections import ImageCollection, Subset
from vebi.errors import UsageError, VebiError, VebiWarning
from vebi.interpretation.result import Interpretation
from vebi.intervention.randomize import parameter_layers, randomized_copy


@dataclass(frozen=True)
class Condition:
    """What is random in the network that maps are made for. Two conditions are equal where the network is.

    Attributes:
        name: Its name in files.
        last: How many layers with parameters from the output down; None for all, 0 for another network, one that was
            trained on permuted labels.
        mode: ``"cascading"``, all of them, or ``"independent"``, only the first of them, see ``randomized_copy``.
        refit: Whether features and weights are fitted anew on that network; otherwise those of the trained one stay.
    """

    name: str = field(compare=False)
    last: int | None
    mode: str = "cascading"
    refit: bool = False


_DEPTHS = {"1": 1, "2": 2, "3": 3, "all": None}
#: Random from the output down, features kept.
CASCADING = tuple(Condition(name, last) for name, last in _DEPTHS.items())
#: What is random by parameters, in the order of Adebayo et al., sections 4.1 and 4.2.
CONDITIONS = (
    *CASCADING,
    *(Condition(f"independent {last}", last, "independent") for last in (1, 2, 3)),
    *(Condition(f"{name} refit", last, refit=True) for name, last in _DEPTHS.items()),
)
#: What is random by labels, section 5.
PERMUTED_LABELS = Condition("labels", 0, refit=True)


@dataclass(frozen=True, eq=False)
class RandomNetworks:
    """The interpretation of a network under every condition.

    Attributes:
        interpretation: What the trained model has learned, with the classifier attached; it stays as it is.
        fit_images: The images of the refits, in files.
        fit_per_class: How many of them per class at most.
        permuted: What a network learned that was trained on permuted labels, of the same classes and preprocessing;
            None for no such condition.
        seed: Of the random parameters.
        batch_size: Images per forward pass.
        asked: The conditions that are wanted, of ``CONDITIONS``.
    """

    interpretation: Interpretation
    fit_images: ImageCollection
    fit_per_class: int
    permuted: Interpretation | None = None
    seed: int = 0
    batch_size: int = 32
    asked: tuple[Condition, ...] = CONDITIONS
    _made: dict[Condition, Interpretation | None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.fit_per_class < 1:
            raise UsageError(f"fit_per_class is {self.fit_per_class}: give at least one image per class to fit")
        learned = [i for i in (self.interpretation, self.permuted) if i is not None]
        if len({(i.class_names, i.require_classifier().preprocess) for i in learned}) > 1:
            raise UsageError(
                "the network of permuted labels has other classes or another preprocessing than the one that is "
                "checked: train it on the same images"
            )

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions asked for that the network has layers enough for; permuted labels where it has such a twin."""
        possible = [c for c in self.asked if c.last is None or c.last <= self._layers]
        return (*possible, *([] if self.permuted is None else [PERMUTED_LABELS]))

    def simplify(self, condition: Condition, uses_features: bool) -> Condition:
        """The plainest condition with the same maps, under the same name: those that are equal then are made once.

        Args:
            condition: One of ``conditions``.
            uses_features: Whether the maps depend on more of an interpretation than its model.
        """
        last = self._layers if condition.last is None else condition.last
        mode = "cascading" if last == 1 else condition.mode
        return replace(condition, last=last, mode=mode, refit=condition.refit and uses_features)

    def interpret(self, condition: Condition) -> Interpretation | None:
        """The interpretation of the network under a condition, with the network attached.

        Args:
            condition: A simplified condition.

        Returns:
            The interpretation; None, with a warning, where nothing can be fitted on the network.
        """
        if condition not in self._made:
            self._made[condition] = self._make(condition)
        return self._made[condition]

    def _make(self, condition: Condition) -> Interpretation | None:
        if condition.last == 0:
            return self.permuted
        if condition.refit:
            kept = self.interpret(replace(condition, refit=False))
            assert kept is not None, "parameters can always be drawn"
            return self._refit(kept, condition.name)
        model, last = self.interpretation.require_classifier(), condition.last or self._layers
        copy = randomized_copy(model, last=last, mode=condition.mode, seed=self.seed)
        return replace(self.interpretation, classifier=copy)

    def _refit(self, kept: Interpretation, name: str) -> Interpretation | None:
        try:
            return refit_on_network(kept, kept.require_classifier(), self._fit_images, batch_size=self.batch_size)
        except VebiError as error:
            warnings.warn(f"nothing is fitted for {name!r}: {error}", VebiWarning, stacklevel=2)
            return None

    @cached_property
    def _fit_images(self) -> ImageCollection:
        return Subset(self.fit_images, select_per_class(self.fit_images, self.fit_per_class))

    @cached_property
    def _layers(self) -> int:
        return len(parameter_layers(self.interpretation.require_classifier()))
