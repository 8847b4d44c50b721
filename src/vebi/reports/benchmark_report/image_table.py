"""The table of one network on images without masks as typed values; a dictionary only at the border to JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vebi.reports.benchmark_report.earlier_format import with_lists, with_tuples


@dataclass(frozen=True)
class Paired:
    """A mean over images, and how much it is above that of vebi on the same images.

    Attributes:
        mean: The mean, in percent.
        difference: It less vebi's on the images that both were scored on; 0 for vebi itself.
        interval: 95 % interval of the difference, None where two images are too few for one.
    """

    mean: float
    difference: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ImageRow:
    """One method on the images of one network.

    Attributes:
        method: Name of the method.
        title: The method as pages call it.
        uses_network: Whether its maps depend on the network.
        images: How many images it was scored on.
        curves: Areas under the curves of deletion (lower is better) and insertion (higher is better), by name.
        sparseness: Gini index of the maps that are not empty, mean in [0, 1]; None where all are.
        empty: Share of the maps all of whose values are equal, in [0, 1].
        randomisation: Rank correlation, in [-1, 1], with the maps of a network whose last 1, 2, 3 or all layers are
            random, features kept; None where not measured.
        randomised_empty: The share of empty maps there, in [0, 1].
        made: How the method was made.
        grid_pointing: In mosaics of four predicted classes, in percent; None without mosaics, as in earlier tables.
    """

    method: str
    title: str
    uses_network: bool
    images: int
    curves: Mapping[str, Paired]
    sparseness: float | None
    empty: float
    randomisation: Mapping[str, float | None]
    randomised_empty: Mapping[str, float | None]
    made: str
    grid_pointing: float | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ImageRow":
        """The row as JSON has it."""
        curves = {name: Paired(**with_tuples(value)) for name, value in content["curves"].items()}
        values = {"grid_pointing": None, **content}  # which earlier tables do not have
        return cls(**{field.name: values[field.name] for field in fields(cls)} | {"curves": curves})


@dataclass(frozen=True)
class ImageTable:
    """What was measured, and how.

    Attributes:
        rows: A row per method.
        data: Name of the folder of images.
        images: Scored images.
        classes: Classes of the network.
        checked: Images whose maps are compared with those of random networks.
        settings: How it was made: options, hashes, versions.
    """

    rows: tuple[ImageRow, ...]
    data: str
    images: int
    classes: int
    checked: int
    settings: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON takes it."""
        return with_lists(asdict(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ImageTable":
        """The table that ``to_dict`` wrote."""
        values = with_tuples(content)
        rows = tuple(ImageRow.from_dict(row) for row in values["rows"])
        return cls(**{field.name: values[field.name] for field in fields(cls)} | {"rows": rows})
