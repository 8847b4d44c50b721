"""The rows of a benchmark's tables: one method on one data set, one choice made differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.earlier_format import with_lists, with_new_keys, with_tuples

#: The name of vebi's own method, against which every other one is compared.
OURS = "vebi"
#: That of vebi as the paper has it, and the beginning of the names of what lies between.
PAPER = f"{OURS}-paper"
#: The metric of the main table.
MAIN_METRIC = METRICS[0].name
GRID_POINTING = "grid_pointing"
#: End of the name of a row with its best choice.
BEST = "-best"


class MethodForm:
    """What the name of a method tells: a row of any table has it."""

    method: str

    @property
    def best_choice(self) -> bool:
        """Whether choices that the method leaves open were made for each network, on its training images."""
        return self.method.endswith(BEST)

    @property
    def form_of(self) -> str:
        """The name of the method without its choices."""
        return self.method.removesuffix(BEST)

    @property
    def is_rival(self) -> bool:
        """Whether it is no other form of vebi: as in the paper, with one half of that, or at its best."""
        return self.form_of != OURS and not self.form_of.startswith(PAPER)


@dataclass(frozen=True)
class MethodRow(MethodForm):
    """The scores of one method on one data set, in percent.

    Attributes:
        dataset: Name of the data set.
        method: Name of the method.
        title: The method as pages call it.
        auc_iou: Area under the IoU curve, the mean over its images for each network (one per fold).
        mean: Mean of ``auc_iou`` over networks.
        std: Sample standard deviation of ``auc_iou`` over networks, None for one network.
        ratio: vebi's ``mean`` divided by the method's, over the images that both were scored on.
        ratio_interval: 95 % interval of ``ratio``, None where networks are too few to tell one.
        p: p-value of the ratio 1, below 0.05 where the interval excludes 1; None for vebi itself.
        grid_pointing: Grid pointing of the raw maps, mean over networks; None where there are no mosaics.
        grid_pointing_ratio: vebi's grid pointing divided by the method's, and the ends of its 95 % interval, each None
            where it is not finite; None where there are no mosaics.
        in_paper: Whether the method is in table 1 of the paper.
        user_defined: Whether it is a user's method.
        uses_network: Whether its maps depend on the network; otherwise they show how far an image alone gets.
        published: Mean and standard deviation that the paper prints, None where it prints none.
        metrics: The other metrics by name, mean over networks.
    """

    dataset: str
    method: str
    title: str
    auc_iou: tuple[float, ...]
    mean: float
    std: float | None
    ratio: float
    ratio_interval: tuple[float, float] | None
    p: float | None
    grid_pointing: float | None
    grid_pointing_ratio: tuple[float | None, float | None, float | None] | None
    in_paper: bool
    user_defined: bool
    uses_network: bool
    published: tuple[float, float] | None
    metrics: Mapping[str, float]

    def score(self, column: str) -> float | None:
        """The score in a column of the tables, None where the method has none there."""
        if column == MAIN_METRIC:
            return self.mean
        return self.grid_pointing if column == GRID_POINTING else self.metrics.get(column)

    @property
    def undecided(self) -> bool:
        """Whether the interval of the ratio contains 1, or there is none."""
        return self.ratio_interval is None or self.ratio_interval[0] <= 1 <= self.ratio_interval[1]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON takes it, the metrics beside the other fields."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "metrics"}
        return with_lists(plain) | dict(self.metrics)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "MethodRow":
        """The row that ``to_dict`` wrote, in this version or an earlier one."""
        content = {"uses_network": True, **with_tuples(with_new_keys(content))}
        metrics = {metric.name: content[metric.name] for metric in METRICS[1:] if metric.name in content}
        plain = {field.name: content[field.name] for field in fields(cls) if field.name != "metrics"}
        return cls(**plain, metrics=metrics)


@dataclass(frozen=True)
class SensitivityRow:
    """The area under the IoU curve where one choice is made differently.

    Attributes:
        choice: What is chosen.
        setting: How it is chosen, empty in the row of the defaults.
        auc_iou: Score in percent by method, of the methods that the choice affects; mean over folds.
        folds: The scores of the folds by method, None for one fold alone.
    """

    choice: str
    setting: str
    auc_iou: Mapping[str, float]
    folds: Mapping[str, tuple[float, ...]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON takes it, without ``folds`` where it is None."""
        content = {"choice": self.choice, "setting": self.setting, "auc_iou": dict(self.auc_iou)}
        return content if self.folds is None else content | {"folds": with_lists(self.folds)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SensitivityRow":
        """The row that ``to_dict`` wrote."""
        folds = content.get("folds")
        return cls(
            choice=content["choice"],
            setting=content["setting"],
            auc_iou=dict(content["auc_iou"]),
            folds=None if folds is None else with_tuples(folds),
        )


def group_by_dataset(rows: Sequence[MethodRow]) -> dict[str, list[MethodRow]]:
    """The rows of each data set, in their order."""
    groups: dict[str, list[MethodRow]] = {}
    for row in rows:
        groups.setdefault(row.dataset, []).append(row)
    return groups
