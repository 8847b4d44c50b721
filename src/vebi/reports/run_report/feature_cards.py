"""What a page shows of a feature, whichever class selects it."""

from dataclasses import dataclass
from pathlib import Path

from vebi.interpretation.contact_sheet import LOOSE, is_loose, restore_contrast, stand_in
from vebi.interpretation.exemplars import Exemplar
from vebi.reports.html import InlineImage, inline
from vebi.reports.run_report.selection_index import SelectionIndex

#: Classes and correlated features that are shown of each feature, at most.
CLASSES, CORRELATED = 3, 2
#: Pixels of the longer side at most: of spotlights and the average, and of the image that stands for a feature.
MEDIUM, SMALL = 112, 64
#: A receptive field of fewer pixels holds no more than a colour, an edge or a texture.
LOCAL = 17
#: Consistency from which on crops are called ...
CONSISTENCY_WORDS = (
    (0.6, "nearly the same"),
    (0.4, "much alike"),
    (LOOSE, "somewhat alike"),
    (-1.0, "hardly alike"),
)


@dataclass(frozen=True)
class Spotlight:
    """Where a feature fired in an image, and the file name of the image."""

    image: InlineImage
    file_name: str


@dataclass(frozen=True)
class FeatureView:
    """What a page shows of a feature.

    Attributes:
        name: As ``str(feature)``.
        depth: Number of its layer, from 1.
        size: Width and height of its receptive field in pixels, as text.
        window: The same as shares of the input.
        covers_input: Whether its receptive field is the whole input.
        kind: What it can be, in words, where it sees few pixels or has no positions.
        spotlights: Images in which it is strongest, lit where it fired.
        average: The average image of its crops.
        thumb: What stands for it in little room: the average, or the first spotlight where the average says little.
        consistency: How alike the crops are, None for fewer than two.
        consistency_word: In words.
        is_loose: Whether the crops are hardly alike.
        top_classes: The classes most frequently predicted for these images, with the number of images.
        n_other_classes: Number of images of other classes.
        correlated: The features of the closest correlation with it, and the correlation.
        n_correlated: Number of features that are correlated with it.
    """

    name: str
    depth: int
    size: str
    window: tuple[float, float]
    covers_input: bool
    kind: str
    spotlights: list[Spotlight]
    average: InlineImage
    thumb: InlineImage
    consistency: float | None
    consistency_word: str | None
    is_loose: bool
    top_classes: list[tuple[str, int]]
    n_other_classes: int
    correlated: list[tuple[str, float]]
    n_correlated: int


class FeatureViews:
    """The views of features by index, each made when it is first asked for and then kept.

    Every image is encoded once, however many classes select its feature.

    Args:
        index: Of the interpretation, which has the classifier attached.
    """

    def __init__(self, index: SelectionIndex):
        self._index = index
        self._side = index.interpretation.require_classifier().preprocess.size
        self._depths: dict[str, int] = {}
        for depth, (layer, _) in enumerate(index.interpretation.layers, start=1):
            self._depths.setdefault(layer, depth)
        self._views: dict[int, FeatureView] = {}

    def __getitem__(self, i: int) -> FeatureView:
        if i not in self._views:
            self._views[i] = self._view(i)
        return self._views[i]

    def _view(self, i: int) -> FeatureView:
        exemplar = self._index.interpretation.exemplars[i]
        height, width = exemplar.receptive_field
        counts, correlated = list(exemplar.predicted.items()), self._correlated(i)
        return FeatureView(
            name=str(exemplar.feature),
            depth=self._depths[exemplar.feature.layer],
            size=f"{width} × {height}",
            window=(width / self._side, height / self._side),
            covers_input=(height, width) == (self._side, self._side),
            kind=_kind(exemplar),
            spotlights=_spotlights(exemplar),
            average=inline(restore_contrast(exemplar), MEDIUM),
            thumb=inline(stand_in(exemplar), SMALL),
            consistency=exemplar.consistency,
            consistency_word=_consistency_word(exemplar.consistency),
            is_loose=is_loose(exemplar),
            top_classes=counts[:CLASSES],
            n_other_classes=sum(count for _, count in counts[CLASSES:]),
            correlated=[(str(self._index.interpretation.feature(c)), r) for c, r in correlated[:CORRELATED]],
            n_correlated=len(correlated),
        )

    def _correlated(self, i: int) -> tuple[tuple[int, float], ...]:
        stability = self._index.interpretation.stability
        return () if stability is None else stability.correlated_features[i]


def _spotlights(exemplar: Exemplar) -> list[Spotlight]:
    shown = zip(exemplar.spotlights, exemplar.image_ids, strict=True)
    return [Spotlight(inline(image.pixels, MEDIUM), Path(image_id).name) for image, image_id in shown]


def _kind(exemplar: Exemplar) -> str:
    if exemplar.positions == (1, 1):
        return "one number for the whole image, without positions"
    if max(exemplar.receptive_field) < LOCAL:
        return "a colour, an edge or a texture: it sees no more"
    return ""


def _consistency_word(consistency: float | None) -> str | None:
    if consistency is None:
        return None
    return next(word for least, word in CONSISTENCY_WORDS if consistency >= least)
