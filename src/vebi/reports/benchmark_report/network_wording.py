"""What was measured on many networks, in sentences."""

from collections.abc import Mapping

from vebi.reports.benchmark_report.glossary import BEST_CHOICE
from vebi.reports.benchmark_report.network_table import Cell, NetworkRow, NetworkTable, on_all_images
from vebi.reports.benchmark_report.number_formats import format_count, format_number
from vebi.reports.benchmark_report.rows import OURS

HEADING = "Heatmaps on flowers in a meadow"
RATIO_TITLE = "method / vebi"
#: Held-out accuracy in percent below which a scene is too hard to be an experiment.
ASKED_ACCURACY = 97.0
#: What the options of ``vebi.benchmark.NetworksPlan`` say.
PLAN = {
    "images": "rendered images per data set",
    "folds": "folds by frame held out in turn",
    "seeds": "trainings per fold",
    "epochs": "epochs of training",
    "fitted": "training images that features are selected on, at most",
    "scored": "scored images per network, at most",
    "few": "images per network where a method or metric asks it many times, at most",
    "tuned": "training images per network on which choices are made, at most",
    "mosaics": "mosaics of four images per network",
    "checked": "networks of each kind that are randomised",
    "mu": "bound on the weights of each class",
    "seed": "seed of the images",
}
#: Columns and what they mean.
TERMS = (
    (
        "area under the IoU curve",
        "a map, scaled to run from 0 to 1, is cut at 101 thresholds from 0 to 1; the overlap of what lies above with "
        "the part that carries the class (intersection over union) is averaged over the thresholds, in percent; mean "
        "and standard deviation over networks",
    ),
    (
        RATIO_TITLE,
        "the method’s area divided by that of vebi with its defaults, with a 95 % interval: networks are resampled "
        "with replacement and, within each, its images, the same ones for both methods, and the interval is widened "
        "for the small number of networks (Hesterberg 2015, expanded percentile interval). Networks of one fold have "
        "the same training and scored images, those of one seed the same initial weights, so six are fewer than six "
        "independent ones: where what they differ in goes by fold, intervals are too narrow. All share the rendered "
        "flowers, so they say nothing of other flowers",
    ),
    (
        "p",
        "two-sided, of a ratio of 1, from the same draws: below 0.05 exactly where the interval excludes 1. It is not "
        "adjusted for the number of methods; with six networks it cannot be below 0.019, so it cannot stay small for a "
        "whole table of methods",
    ),
    (
        "best choice",
        BEST_CHOICE,
    ),
    (
        "grid pointing",
        "the share of a map’s sum in the image of the class that is asked for, of four in a mosaic; chance 25",
    ),
    (
        "deletion, insertion",
        "the area under the curve of the class probability while pixels are replaced by, or come into, the blurred or "
        "the grey image in the order of the map, in percent: deletion low and insertion high is better",
    ),
    ("sparseness", "Gini index of a map, in percent: 0 where all pixels are equal, 100 where one has everything"),
    ("empty", "the share of maps all of whose values are equal, in percent; they count as they are in the area"),
    (
        "random parameters",
        "rank correlation / structural similarity, over the pixels of the flower, with the map of a network whose "
        "last 1, 2, 3 or all layers are drawn anew (cascading), or the first, second, third from the end alone "
        "(independent); vebi’s features and weights stay, or are fitted again to the true classes (refit). “1 refit” "
        "is the control: nothing that vebi uses is random there, so it shows what fitting again alone does. labels: a "
        "network trained on permuted labels, interpreted by itself. Low is better: a map that stays the same does not "
        "depend on what is random. Pairs with an empty map have no correlation and are left out; the share of empty "
        "maps is in brackets",
    ),
)


def compared(table: NetworkTable) -> str:
    """What was measured, in a few sentences."""
    methods = {row.method for row in table.rows if row.uses_network}
    cues = {row.method for row in table.rows if not row.uses_network}
    networks = sum(len(cell.models) for cell in table.cells)
    return (
        f"{len(methods)} rows of methods that explain a network, and {len(cues)} maps that no network is asked for, on "
        f"{networks} networks that vebi trained on flowers that it rendered: among grass, stones, blossoms and "
        "butterflies of the same colours, everything but the part that carries the class drawn independently of the "
        "class. In double-12c that part has a pale edge, so the other one, without, tells which of the two it is, and "
        "a mask of one part misses that; in shape-6c petals cover and shade what is below them. A network is trained "
        "without one of five folds by frame, and explained on that fold."
    )


def material(cell: Cell) -> str:
    """The networks of a data set and an architecture, in a sentence."""
    folds, seeds = len(set(cell.folds)), len(set(cell.seeds))
    low, mean = min(cell.accuracies), sum(cell.accuracies) / len(cell.accuracies)
    misses = sum(accuracy < ASKED_ACCURACY for accuracy in cell.accuracies)
    verdict = f"{misses} below {ASKED_ACCURACY:.0f} %" if misses else f"all of at least {ASKED_ACCURACY:.0f} %"
    return (
        f"{format_count(len(cell.models), 'network')} ({format_count(folds, 'fold')} x "
        f"{format_count(seeds, 'seed')}), held-out accuracy {mean:.1f} % (lowest {low:.1f} %; {verdict})"
    )


def table_caption(table: NetworkTable) -> str:
    """What stands in the main table, and what its intervals are about."""
    plan = table.plan
    return (
        f"Area under the IoU curve in percent, mean ± standard deviation over networks, on up to {plan['scored']} "
        "images of the held-out fold per network; Score-CAM, occlusion and RISE, deletion and insertion on "
        f"{plan['few']}, spread over the frames: their ratios are to vebi on the same images, their areas are not to "
        "be ranked among the others. Intervals and p are about networks, resampled with their images within. Bold: "
        "the highest on all images."
    )


def best_of(rows: list[NetworkRow], *, uses_network: bool) -> NetworkRow:
    """The row with the largest area, of those on all images with or without a network."""
    return max((row for row in on_all_images(rows) if row.uses_network == uses_network), key=lambda row: row.mean)


def standing(table: NetworkTable, cell: Cell) -> str:
    """How far an image alone gets, and where vebi stands."""
    rows = table.rows_of(cell)
    cue, best = best_of(rows, uses_network=False), best_of(rows, uses_network=True)
    ours = next(row for row in rows if row.method == OURS)
    rivals = [row for row in rows if row.uses_network and not row.form_of.startswith(OURS)]
    intervals = [row.ratio_interval for row in rivals if row.ratio_interval]
    ahead, behind = sum(low > 1 for low, _ in intervals), sum(high < 1 for _, high in intervals)
    counts = f"of {len(rivals)} rows of other methods {ahead} are ahead of it and {behind} behind" if intervals else ""
    share = cue.mean / best.mean
    verdict = "at most half of it" if share <= 0.5 else "more than half of it"
    return (
        f"the best method is {best.title} with {format_number(best.mean)}; without a network "
        f"{cue.title} reaches {format_number(cue.mean)}, {100 * share:.0f} % of that ({verdict}). vebi with its "
        f"defaults has {format_number(ours.mean)}"
        + (f"; {counts}, the interval of the ratio leaving out 1." if counts else ".")
    )


def untouched_note(table: NetworkTable) -> str:
    """How the checks of randomisation are to be read."""
    checked = [cell.checked for cell in table.cells]
    shares = [share for cell in table.cells for share in cell.known_by_heart]
    return (
        f"Rank correlation / structural similarity of a map with that of a network whose parameters or labels are "
        f"random, on {format_count(max(checked), 'network')} of each kind and {table.plan['few']} images; lower is "
        "better. Of vebi and upsampled activations, “1” is 1 by construction: no feature lies behind the last layer. "
        "Score-CAM, occlusion, RISE and best choices are not checked."
        + (
            f" Networks trained on permuted labels know {min(shares):.0f} to {max(shares):.0f} % of them."
            if shares
            else ""
        )
    )


def provenance(table: NetworkTable) -> list[tuple[str, str]]:
    """What the table was made from and with."""
    items = [] if table.command is None else [("command", table.command)]
    items += [(PLAN.get(name, name), _format_option(value)) for name, value in table.plan.items()]
    for cell in table.cells:
        networks = ", ".join(
            f"fold {fold} seed {seed} {model[:12]} ({accuracy:.1f} %)"
            for fold, seed, model, accuracy in zip(cell.folds, cell.seeds, cell.models, cell.accuracies, strict=True)
        )
        items.append(
            (f"{cell.variant}, {cell.architecture}", f"images sha256 {cell.data_sha256[:12]}; networks {networks}")
        )
    items.append(("versions", ", ".join(f"{name} {version}" for name, version in table.versions.items())))
    return [*items, ("threads of a training", str(table.threads)), ("created", table.created)]


def _format_option(value: object) -> str:
    """An option of a plan, as ``shape-6c: flowernet 28, flower-vgg 16`` where it is one by network."""
    if not isinstance(value, Mapping):
        return str(value)
    return "; ".join(
        f"{variant}: " + ", ".join(f"{architecture} {number}" for architecture, number in numbers.items())
        for variant, numbers in value.items()
    )


def made(table: NetworkTable) -> list[tuple[str, str]]:
    """How each method was made, or what was chosen for it."""
    described: dict[str, list[str]] = {}
    for row in table.rows:
        described.setdefault(row.method, []).extend(row.described)
    return [(method, "; ".join(dict.fromkeys(texts))) for method, texts in described.items()]
