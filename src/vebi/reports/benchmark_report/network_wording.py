"""What was measured on many networks, in sentences."""

from collections import Counter
from collections.abc import Mapping

from vebi.reports.benchmark_report.network_table import Cell, NetworkTable
from vebi.reports.benchmark_report.number_formats import format_count

HEADING = "Heatmaps on flowers in a meadow"
#: Held-out accuracy in percent below which a scene is too hard to be an experiment.
ASKED_ACCURACY = 97.0
#: What the options of ``vebi.benchmark.NetworksPlan`` say.
PLAN = {
    "images": "rendered images per data set, at most (and 1,000 of a class at most)",
    "folds": "folds by frame held out in turn",
    "seeds": "trainings per fold",
    "epochs": "epochs of training",
    "fitted": "training images that features are selected on, at most",
    "scored": "scored images per network, at most",
    "few": "images per network where a method or metric asks it many times, at most",
    "tuned": "training images per network on which choices are made, at most (those of slow methods as few as above)",
    "mosaics": "mosaics of four images per network",
    "checked": "networks of each kind that are randomised",
    "mu": "bound on the weights of each class",
    "seed": "seed of the images",
}


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
        "the highest on all images. The area rewards maps that are even on the part; other scores rank methods "
        "otherwise, see below."
    )


def scores_caption(table: NetworkTable) -> str:
    """What stands in the tables of other scores."""
    plan = table.plan
    return (
        f"In percent, mean ± standard deviation over networks, on the images of the main table; grid pointing on "
        f"{plan.get('mosaics', 0)} mosaics of each network, deletion and insertion on {plan['few']} images of each, "
        "too few to tell close ones apart. Bold: the highest on all images; nothing is marked in the last columns."
    )


def untouched_note(table: NetworkTable) -> str:
    """How the checks of randomisation are to be read."""
    checked = [cell.checked for cell in table.cells]
    shares = [share for cell in table.cells for share in cell.known_by_heart]
    return (
        f"Rank correlation / structural similarity of a map with that of a network whose parameters or labels are "
        f"random, on {format_count(max(checked), 'network')} of each kind and {table.plan['few']} images; lower is "
        "better. One network tells nothing of another. Of vebi and upsampled activations, “1” and “independent 1” are "
        "1 by construction: no feature lies behind the last layer. Score-CAM, occlusion, RISE and best choices are "
        "not checked."
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
    items.append(("code that made the scores", "sha256 " + ", ".join(code[:12] for code in table.code_sha256.split())))
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
    """How each method was made, or what was chosen for it, and where that is not the same everywhere."""
    by_place: dict[str, dict[str, Counter[str]]] = {}
    for row in table.rows:
        places = by_place.setdefault(row.method, {})
        places[f"{row.variant}, {row.architecture}"] = Counter(row.described)
    return [(method, _choices(places)) for method, places in by_place.items()]


def _choices(places: Mapping[str, Counter[str]]) -> str:
    """``layer a`` where it is the same everywhere, else for every place ``layer a (2), layer b (1)``."""
    distinct = {text for counts in places.values() for text in counts}
    if len(distinct) == 1:
        return distinct.pop()
    return "; ".join(
        f"{place}: " + ", ".join(f"{text} ({count})" for text, count in counts.most_common())
        for place, counts in places.items()
    )
