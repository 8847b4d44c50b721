"""What the columns of the table of many networks mean, for the page and the Markdown alike."""

from vebi.reports.benchmark_report.glossary import BEST_CHOICE, MEANINGS
from vebi.reports.benchmark_report.network_tables import MASK_SCORES, SHARED
from vebi.reports.benchmark_report.rows import GRID_POINTING, OURS

RATIO_TITLE = "method / vebi"
#: Columns and what they mean.
TERMS = (
    (
        "single-6c, double-12c, shape-6c",
        "data sets of `vebi flowers --scene meadow`. single-6c: the colour of the petals is the class. double-12c: the "
        "colour of the petals or that of the leaves, of whichever has a pale edge. shape-6c: the form of the petals, "
        "and all colours are drawn at random. Masks mark the part that carries the class. A flower opens over 40 "
        "frames and stands in each under five rotations; all images of a frame are in one fold",
    ),
    (
        "flowernet, flower-resnet, flower-vgg",
        "strided convolutions and a global mean; residual blocks with ReLUs as functions, and a global mean; batch "
        "normalisation, max pooling and two fully connected layers. flower-vgg has no stride but in its pooling, so "
        "rows with and without the stride fix are the same there",
    ),
    (
        OURS,
        "what `vebi fit` and `vebi explain` do by default: three features of each class on standardised columns, read "
        "at every layer on the way to the pixels and kept to where the network sees the class rather than the others",
    ),
    (
        "vebi as in the paper",
        "descriptors of squared energies scaled to norm 1, columns as they are, mu = 5, three features, the guided "
        "rule with the stride fix, the highest of their maps at every pixel; “the paper’s features” and “the paper’s "
        "heatmaps” are one half of that with the other of vebi",
    ),
    (
        "stride fix",
        "a backward pass in which strided operations visit no pixel more often than its neighbours; without it strides "
        "print a grid into a map",
    ),
    (
        "without a network",
        "saturation: the largest colour of a pixel less its smallest; silhouette: what differs from the border’s "
        "colour, cut by Otsu’s threshold and filled; distance from the colour of the border; edges: where brightness "
        "changes; sharpness: what is in focus; centre: a bump in the middle; random blob. They depend on images alone, "
        "so networks of one fold share them. The scene was chosen so that they score low by area, before methods were "
        "compared",
    ),
    (
        "area under the IoU curve",
        "a map, scaled to run from 0 to 1, is cut at 101 thresholds from 0 to 1; the overlap of what lies above with "
        "the part that carries the class (intersection over union) is averaged over the thresholds, in percent; mean "
        "and standard deviation over networks",
    ),
    (
        RATIO_TITLE,
        "the method’s area divided by that of vebi, with a 95 % interval: networks are resampled with replacement and, "
        "within each, its images, the same ones for both methods, and the interval is widened for the small number of "
        "networks (Hesterberg 2015, expanded percentile interval). Networks of one fold have the same training and "
        "scored images, those of one seed the same initial weights, so six are fewer than six independent ones: where "
        "what they differ in goes by fold, intervals are too narrow. All share the rendered flowers, so they say "
        "nothing of other flowers",
    ),
    (
        "p",
        "two-sided, of a ratio of 1, from the same draws: below 0.05 exactly where the interval excludes 1. It is not "
        "adjusted for the number of methods; with six networks it cannot be below 0.019, so it cannot stay small for a "
        "whole table of methods",
    ),
    ("best choice", f"{BEST_CHOICE}. Other methods have no such row"),
    (SHARED, "the same area on those images alone that every method has, slow ones, too"),
    *((MASK_SCORES[name], MEANINGS[name]) for name in MASK_SCORES if name != GRID_POINTING),
    (
        "grid pointing",
        "the share of a map’s sum in the image of the class that is asked for, of four in a mosaic; chance 25. "
        "flower-vgg takes images of one size alone, so its mosaics are of images at half their size",
    ),
    (
        "deletion, insertion",
        "the area under the curve of the class probability while pixels are replaced by, or come into, the blurred or "
        "the grey image in the order of the map, in percent: deletion low and insertion high is better. A blurred "
        "petal keeps its colour: where colours are the class, the blurred image still tells it, and these scores say "
        "little",
    ),
    (
        "sparseness",
        "Gini index of a map, in percent: 0 where all pixels are equal, 100 where one has everything. Maps of RISE are "
        "well above 0 everywhere, so theirs is low",
    ),
    ("empty", "the share of maps all of whose values are equal, in percent; they count as they are in the area"),
    (
        "random parameters",
        "rank correlation / structural similarity, over the pixels of the flower, with the map of a network whose last "
        "1, 2, 3 or all layers are drawn anew (cascading), or the first, second, third from the end alone "
        "(independent); vebi’s features and weights stay, or are fitted again to the true classes (refit). “1 refit” "
        "is the control: nothing that vebi uses is random there, so it shows what fitting again alone does. labels: a "
        "network trained on permuted labels, interpreted by itself. Low is better: a map that stays the same does not "
        "depend on what is random. Pairs with an empty map have no correlation and are left out; the share of empty "
        "maps is in brackets",
    ),
)
