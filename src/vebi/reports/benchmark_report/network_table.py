"""The table of many networks as typed values; a dictionary only at the border to JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from vebi.reports.benchmark_report.earlier_format import with_lists, with_tuples
from vebi.reports.benchmark_report.rows import MethodForm

#: Areas under the curves of deletion and insertion, by baseline.
CURVES = ("deletion_blur", "deletion_grey", "insertion_blur", "insertion_grey")


@dataclass(frozen=True)
class NetworkRow(MethodForm):
    """One method on the networks of one data set and one architecture, in percent where nothing else is said.

    Attributes:
        variant: Variant of the flowers.
        scene: Their scene.
        architecture: The network.
        method: Name of the method.
        title: The method as pages call it.
        uses_network: Whether its maps depend on the network.
        auc_iou: Area under the IoU curve, one mean per network.
        mean: Mean of ``auc_iou``.
        std: Sample standard deviation of ``auc_iou``, None for one network.
        images: Scored images of each network.
        shared_mean: The area on those images of each network that every method was scored on.
        shared_images: How many these are of all networks.
        ratio_to_default: The method's ``mean`` divided by that of vebi, on the images that both have.
        ratio_interval: 95 % interval of ``ratio_to_default``, None where the networks are too few for one.
        p: Two-sided p-value of the ratio 1, not adjusted for many tests; None for vebi itself.
        grid_pointing: Grid pointing, None where there are no mosaics.
        deletion: Area under the deletion curve into the blurred image, lower is better.
        insertion: Area under the insertion curve from the blurred image, higher is better.
        curves: Both with every baseline, by the names of CURVES.
        metrics: Other scores against masks by name.
        sparseness: Gini index of the maps.
        deviations: Sample standard deviation over networks of the scores above and of grid pointing, by name; None for
            fewer than two networks.
        randomisation: Rank correlation, in [-1, 1], with the maps of a network whose last 1, 2, 3 or all layers are
            random, features kept; None where not measured.
        sanity: Every condition -> rank correlation, structural similarity, and the share of empty maps in [0, 1].
        empty: Share of the maps all of whose values are equal.
        described: How the method was made for each network, or what was chosen.
    """

    variant: str
    scene: str
    architecture: str
    method: str
    title: str
    uses_network: bool
    auc_iou: tuple[float, ...]
    mean: float
    std: float | None
    images: tuple[int, ...]
    shared_mean: float
    shared_images: int
    ratio_to_default: float
    ratio_interval: tuple[float, float] | None
    p: float | None
    grid_pointing: float | None
    deletion: float | None
    insertion: float | None
    curves: Mapping[str, float | None]
    metrics: Mapping[str, float | None]
    sparseness: float | None
    deviations: Mapping[str, float | None]
    randomisation: Mapping[str, float | None]
    sanity: Mapping[str, Mapping[str, float | None]]
    empty: float | None
    described: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON takes it."""
        return with_lists(asdict(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "NetworkRow":
        """The row that ``to_dict`` wrote."""
        values = with_tuples(content)
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Cell:
    """The networks of one data set and one architecture.

    Attributes:
        variant: Variant of the flowers.
        scene: Their scene.
        architecture: The network.
        data_sha256: Hash of the images.
        mask_share: Mean share of an image that its mask covers, in percent.
        folds: The fold that each network was not trained on.
        seeds: The seed of each training.
        accuracies: Share of the held-out images that each network classifies correctly, in percent.
        models: sha256 of the weights of each network.
        checked: How many of them had parameters and labels randomised.
        known_by_heart: How many of the permuted labels each network trained on such learned, in percent.
    """

    variant: str
    scene: str
    architecture: str
    data_sha256: str
    mask_share: float
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    models: tuple[str, ...]
    checked: int
    known_by_heart: tuple[float, ...] = ()


@dataclass(frozen=True)
class NetworkTable:
    """Methods on many networks.

    Attributes:
        rows: By data set, architecture and method.
        cells: The networks of each data set and architecture.
        plan: Sizes, seed and options by name.
        versions: Versions of Python and packages.
        threads: Threads of the trainings.
        code_sha256: Hash of the code that made the scores; several, with spaces between, where it changed meanwhile.
        created: Date and time, ISO 8601.
        command: The command that repeats it, None where there is none.
    """

    rows: tuple[NetworkRow, ...]
    cells: tuple[Cell, ...]
    plan: Mapping[str, Any]
    versions: Mapping[str, str]
    threads: int
    code_sha256: str
    created: str
    command: str | None = None

    def rows_of(self, cell: Cell) -> list[NetworkRow]:
        """The rows of a data set and an architecture."""
        key = (cell.variant, cell.scene, cell.architecture)
        return [row for row in self.rows if (row.variant, row.scene, row.architecture) == key]

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON takes it."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("rows", "cells")}
        cells = [with_lists(asdict(cell)) for cell in self.cells]
        return {"rows": [row.to_dict() for row in self.rows], "settings": settings | {"networks": cells}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "NetworkTable":
        """The table that ``to_dict`` wrote.

        Args:
            content: The contents of a ``table2.json``.
        """
        settings = dict(content["settings"])
        cells = tuple(Cell(**with_tuples(cell)) for cell in settings.pop("networks"))
        return cls(rows=tuple(map(NetworkRow.from_dict, content["rows"])), cells=cells, **settings)


def on_all_images(rows: Sequence[NetworkRow]) -> list[NetworkRow]:
    """The rows on all images of their networks; others, on fewer images, cannot be ranked with them."""
    most = max((sum(row.images) for row in rows), default=0)
    return [row for row in rows if sum(row.images) == most]
