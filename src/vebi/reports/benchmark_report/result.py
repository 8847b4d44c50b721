"""The result of a benchmark as typed values; a dictionary only at the border to JSON.

``to_dict`` writes the keys of this version; ``from_dict`` reads those of earlier ones, too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from vebi.reports.benchmark_report.earlier_format import with_lists, with_new_keys, with_tuples
from vebi.reports.benchmark_report.rows import MethodRow, SensitivityRow

#: What intervals and p-values are about: networks and their images, or the images of one network. In files of earlier
#: versions intervals are about images, and p-values are of Wilcoxon's test, adjusted by Holm's method.
Inference = Literal["networks", "images", "earlier"]


@dataclass(frozen=True)
class NetworkNote:
    """A network of a benchmark.

    Attributes:
        accuracy: Share of held-out images that it classifies correctly, in [0, 1]; None where it is not known.
        model: sha256 of its weights.
    """

    accuracy: float | None
    model: str


@dataclass(frozen=True)
class DatasetNote:
    """Where the scores on one data set come from.

    Attributes:
        data_sha256: Hash of the images.
        networks: The networks, one per fold.
        folds: Number of folds.
        images: Number of scored images per fold.
        mosaics: Number of mosaics per fold.
        full_size: Whether mosaics are of images at full size, otherwise at half of it.
        correct: Share of the scored images of each fold that are classified correctly, in [0, 1]; None where their
            classes are not known.
        mask_share: Mean share of an image that its mask covers, in percent.
        seed: Seed of a rendered data set.
        fitted_on_scored_images: Whether vebi's features were selected on the scored images; None for the folds of the
            paper's experiment, where they never are.
        fit_sha256: Hash of the images of the fit.
        truth_sha256: Hash of model, scored images, targets and masks.
        preprocess: The preprocessing of the network.
        layers: Name and number of channels of each layer of the descriptor.
    """

    data_sha256: str
    networks: tuple[NetworkNote, ...]
    folds: int
    images: tuple[int, ...]
    mosaics: tuple[int, ...]
    full_size: bool
    correct: tuple[float | None, ...]
    mask_share: float
    seed: int | None = None
    fitted_on_scored_images: bool | None = None
    fit_sha256: str | None = None
    truth_sha256: str | None = None
    preprocess: Mapping[str, Any] | None = None
    layers: tuple[tuple[str, int], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The note as JSON takes it, without the fields that do not apply."""
        content = {name: value for name, value in asdict(self).items() if value is not None}
        if self.layers is not None:
            content["layers"] = [list(layer) for layer in self.layers]
        return with_lists(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DatasetNote":
        """The note that ``to_dict`` wrote, in this version or an earlier one."""
        content = with_tuples(with_new_keys(content))
        if "mosaics_of" in content:
            content["full_size"] = content.pop("mosaics_of") == "whole pictures"
        if "layers" in content:
            content["layers"] = tuple((name, channels) for name, channels in content["layers"])
        return cls(**content | {"networks": tuple(NetworkNote(**network) for network in content["networks"])})


@dataclass(frozen=True)
class BenchmarkSettings:
    """How a benchmark was made.

    Attributes:
        command: The command that repeats it, None where there is none.
        plan: Sizes, seed and options by name, None for an option that was not given.
        thresholds: Number of thresholds of the IoU curve.
        data: A note for each data set.
        methods: How each method was made, by name.
        versions: Versions of Python and packages.
        code_sha256: Hash of the code that made the scores; several, with spaces between, where it changed meanwhile.
        created: Date and time, ISO 8601.
        inference: What intervals and p-values are about.
    """

    plan: Mapping[str, int | float | str | None]
    thresholds: int
    data: Mapping[str, DatasetNote]
    methods: Mapping[str, str]
    versions: Mapping[str, str]
    code_sha256: str
    created: str
    inference: Inference
    command: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON takes them, without ``command`` where it is None."""
        command = {} if self.command is None else {"command": self.command}
        data = {name: note.to_dict() for name, note in self.data.items()}
        return (
            command
            | {field.name: getattr(self, field.name) for field in fields(self) if field.name != "command"}
            | {"data": data}
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "BenchmarkSettings":
        """The settings that ``to_dict`` wrote, in this version or an earlier one."""
        data = {name: DatasetNote.from_dict(note) for name, note in content["data"].items()}
        return cls(**{"inference": "earlier", **content, "data": data})


@dataclass(frozen=True)
class BenchmarkResult:
    """The tables of a benchmark: methods compared on images with masks.

    Attributes:
        rows: Scores of the raw maps, by data set and in the order of the methods.
        transformed_rows: The same after one transform for all maps.
        curves: IoU in percent at each threshold, mean over folds, by data set and method.
        sensitivity: The sensitivity table of each data set that has one; the first row is of the defaults.
        settings: How the benchmark was made.

    Example:
        >>> import json, pathlib
        >>> result = vebi.benchmark.benchmark_model(
        ...     classifier, "images", pathlib.Path("bench"), masks="masks", mu=1.5, per_class=1, mosaics=0
        ... )
        >>> table = json.loads(pathlib.Path("bench/table.json").read_text())
        >>> vebi.benchmark.BenchmarkResult.from_dict(table) == result
        True
    """

    rows: tuple[MethodRow, ...]
    transformed_rows: tuple[MethodRow, ...]
    curves: Mapping[str, Mapping[str, tuple[float, ...]]]
    sensitivity: Mapping[str, tuple[SensitivityRow, ...]]
    settings: BenchmarkSettings

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON takes it."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "transformed_rows": [row.to_dict() for row in self.transformed_rows],
            "curves": {name: with_lists(curves) for name, curves in self.curves.items()},
            "sensitivity": {name: [row.to_dict() for row in rows] for name, rows in self.sensitivity.items()},
            "settings": self.settings.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "BenchmarkResult":
        """The result that ``to_dict`` wrote, in this version or an earlier one.

        Args:
            content: The contents of a ``table1.json`` or ``table.json``.

        Raises:
            KeyError: A key is missing.
            TypeError: There is a key too many.
        """
        sensitivity = content["sensitivity"].items()
        return cls(
            rows=tuple(map(MethodRow.from_dict, content["rows"])),
            transformed_rows=tuple(map(MethodRow.from_dict, content["transformed_rows"])),
            curves={name: with_tuples(curves) for name, curves in content["curves"].items()},
            sensitivity={name: tuple(map(SensitivityRow.from_dict, rows)) for name, rows in sensitivity},
            settings=BenchmarkSettings.from_dict(content["settings"]),
        )
