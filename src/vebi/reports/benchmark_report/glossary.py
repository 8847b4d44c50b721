"""What the columns and choices of a benchmark are called and what they mean, for the page and the Markdown alike."""

from collections.abc import Mapping, Sequence

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.result import Inference
from vebi.reports.benchmark_report.rows import GRID_POINTING, MethodRow

#: Grid pointing of a map that does not follow the class, in percent: one of four images in a mosaic is asked for.
CHANCE = 25.0
#: The row that every table has for comparison.
WHOLE_IMAGE = "marking the whole image"
RATIO_TITLE = "vebi / method"
P_TITLE = "p (area under the IoU curve)"
#: Columns of scores -> titles, in the order of a table.
TITLES = {metric.name: metric.title for metric in METRICS} | {GRID_POINTING: "grid pointing"}
#: Columns of scores -> what they measure.
MEANINGS = {
    "auc_iou": "a map, scaled to run from 0 to 1, is cut at thresholds from 0 to 1. The overlap of what lies above "
    "with the mask (intersection over union, IoU) is averaged over the thresholds. A map scores high if it is bright "
    "all over what the mask marks and dark elsewhere",
    "best_iou": "the overlap at the best threshold for each image, chosen with the mask in hand",
    "average_precision": "pixels are ranked by the map; at every pixel of the mask the share of the mask among the "
    "pixels down to its value is taken, and the mean of these counts. Only the order of pixels matters",
    "pointing_game": "how often the highest pixel of a map lies in the mask",
    "relevance_mass": "the share of a map’s sum that lies in the mask",
    "relevance_rank": "of as many highest pixels as the mask has, the share that lies in the mask",
    GRID_POINTING: "four images of different classes are laid out as one mosaic, two by two. Each of their classes is "
    "asked for in turn, and the share of the map’s sum that lies in the image of that class counts. A map that does "
    "not follow the class scores 25",
}
#: Groups of methods.
IN_PAPER = "in the paper’s table 1"
FURTHER = "further methods"
WITH_BEST_CHOICE = "methods with their best choice"
WITHOUT_NETWORK = "without a network"
GROUPS = (IN_PAPER, FURTHER, WITH_BEST_CHOICE, WITHOUT_NETWORK)
BEST_CHOICE = (
    "of some choices that a method leaves open (the layer of class activation maps; reduction and number of features "
    "of vebi and upsampled activations) the one whose area is largest on training images of the same network. Other "
    "choices, such as the noise of SmoothGrad or the window of occlusion, keep their usual values"
)
CUES = (
    "maps that are made of an image alone, or by chance, and know nothing of the network. They explain nothing: "
    "they show how far one gets without it, which an explanation has to pass"
)
DEVIATION = (
    "the mean over networks of what each has on the images that it was not trained on, and the standard deviation of "
    "these networks’ means. The networks of all folds start from the same seed and share most of their training "
    "images, so networks that are trained apart may differ more"
)
_RATIO = (
    "vebi’s score divided by the method’s, so that above 1 vebi is ahead, with a 95 % interval of a paired bootstrap: "
)
_P_VALUE = (
    "1 minus the coverage of the widest interval of this ratio that excludes 1: below 0.05 where the 95 % interval "
    "excludes 1, and about {about}, too. It is not adjusted for the number of methods: of twenty that are level with "
    "vebi, one is below 0.05 by chance"
)
#: What intervals and p-values are about -> what the interval of a ratio is of.
INTERVAL: Mapping[Inference, str] = {
    "networks": "a 95 % interval over networks and their images",
    "images": "a 95 % interval over the images of this one network",
    "earlier": "its 95 % interval",
}
#: What intervals and p-values are about -> what the ratio means.
RATIO: Mapping[Inference, str] = {
    "networks": f"{_RATIO}networks are resampled with replacement and, within each, its images, the same ones for both "
    "methods, and the interval is widened as so few networks ask for (Hesterberg 2015). It says what other networks of "
    "this kind would give, as far as these are independent of each other. Architecture, training and data set are not "
    "resampled. Two or three networks are too few for an interval",
    "images": f"{_RATIO}images are resampled with replacement, the same ones for both methods. Networks are not: the "
    "interval is about images of this one network and does not say what another would give",
    "earlier": f"{_RATIO}images are resampled with replacement, the same ones for both methods. Networks are not "
    "trained again, so the interval does not say what other networks would give",
}
#: What intervals and p-values are about -> what the p-value means.
P_VALUE: Mapping[Inference, str] = {
    "networks": _P_VALUE.format(about="other networks of this kind") + ". The least that it can be "
    "is what one of 10,000 draws tells, with five networks 0.029",
    "images": _P_VALUE.format(about="images of this one network"),
    "earlier": "the probability of differences at least as one-sided as these, image by image, if neither method were "
    "ahead of the other (Wilcoxon’s signed-rank test), adjusted for the number of methods (Holm). It takes the "
    "networks as given, too",
}
MASK_SHARE = (
    "for comparison, what a map that is 1 everywhere would score if it were taken as it is: the share of an image that "
    "its mask covers"
)
#: What is changed in the sensitivity table -> what it is, and its setting in the other tables. Tables of earlier
#: versions have mu, features and stride fix.
CHOICES = {
    "thresholds": "at which values maps are cut (101 from 0 to 1). At 0 every pixel is above",
    "interpolation": "how a map of a deep layer is enlarged to the size of the image (bilinear)",
    "layer of Grad-CAM": "the layer of Grad-CAM and the methods derived from it (the last one before positions are "
    "pooled away). Earlier layers have finer maps",
    "descriptor": "how the activations of a channel become one number when features are selected (norms, standardised)",
    "weights": "whether a feature may speak against a class when features are selected (no)",
    "labels": "whether features are selected for the true or for the predicted classes (predicted)",
    "mu": "how much weight a class may give to its features ({mu:g}): the larger, the more features are selected",
    "features": "how many features at most are taken back to the pixels of an image (3)",
    "stride fix": "how vebi avoids the grid that strides leave in a map (centred)",
    "features per class": "how many features are selected for each class at most (3)",
    "features shown": "how many features at most are taken back to the pixels of an image (3)",
    "combination": "how the maps of several features become one (weighted by what they contribute)",
    "heatmaps": "how a feature becomes a heatmap (read at every layer, stride fix and pool fix, kept to the class)",
}
TRANSFORM = (
    "Every map is blurred (Gaussian, 1/56 of its longer side) and passed through a soft threshold at Otsu’s level, the "
    "value that best parts its bright pixels from its dark ones; the recipe is the same for every method."
)
PAPER = "Oramas, Wang and Tuytelaars, “Visual Explanation by Interpretation”, ICLR 2019 (arXiv 1712.06302)"
NOT_COMPARABLE = (
    "Published: table 1 of Oramas, Wang and Tuytelaars, “Interpreting and Explaining Deep Models Visually” (BNAIC "
    "2019), on their own images and networks. The images here follow their an8Flower protocol and are rendered by "
    "vebi, the networks are vebi’s own, so the two columns are not comparable one to one."
)
#: Options of a plan -> what they are.
PLAN = {
    "images_per_class": "images per class",
    "folds": "folds",
    "epochs": "epochs of training",
    "scored": "scored images per class and fold, at most",
    "mosaics": "mosaics of four images per fold, at most",
    "varied": "images per class and fold in the sensitivity table, at most",
    "tuned": "training images per class and fold on which the best choices are made, at most",
    "features_per_class": "features per class, at most",
    "mu": "mu of the fit as in the paper",
    "descriptor": "descriptor of the fit",
    "seed": "seed",
    "cam_layer": "layer of Grad-CAM and the methods derived from it",
}


def score_titles(rows: Sequence[MethodRow]) -> dict[str, str]:
    """The columns of scores that these rows have -> their titles."""
    columns = [name for name in TITLES if any(row.score(name) is not None for row in rows)]
    return {name: TITLES[name] for name in columns}


def method_titles(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Names of methods -> titles, in the order of the rows."""
    return {row.method: row.title for row in rows}


def group_of(row: MethodRow) -> str:
    """The group of a method in a table."""
    if not row.uses_network:
        return WITHOUT_NETWORK
    if row.best_choice:
        return WITH_BEST_CHOICE
    return IN_PAPER if row.in_paper else FURTHER


def group_methods(rows: Sequence[MethodRow]) -> dict[str, list[MethodRow]]:
    """The methods of each group that has any."""
    groups = {group: [row for row in rows if group_of(row) == group] for group in GROUPS}
    return {group: members for group, members in groups.items() if members}
