"""What was measured, on what and how, in sentences that the page and the Markdown share."""

from vebi.reports.benchmark_report.glossary import (
    BEST_CHOICE,
    CHANCE,
    CHOICES,
    CUES,
    DEVIATION,
    INTERVAL,
    MASK_SHARE,
    MEANINGS,
    P_TITLE,
    P_VALUE,
    PAPER,
    PLAN,
    RATIO,
    RATIO_TITLE,
    WHOLE_IMAGE,
    WITH_BEST_CHOICE,
    WITHOUT_NETWORK,
    score_titles,
)
from vebi.reports.benchmark_report.number_formats import format_count, join_words
from vebi.reports.benchmark_report.result import BenchmarkResult, DatasetNote, NetworkNote
from vebi.reports.html import percent


def has_published(result: BenchmarkResult) -> bool:
    """Whether there are published figures to compare with."""
    return any(row.published for row in result.rows)


def has_folds(result: BenchmarkResult) -> bool:
    """Whether scores are means over several networks, one per fold."""
    return any(row.std is not None for row in result.rows)


def heading(result: BenchmarkResult) -> str:
    """The title of the page."""
    if has_published(result):
        return "How well heatmaps match the ground truth"
    return f"How well heatmaps match the masks of {join_words(list(result.settings.data))}"


def measured(result: BenchmarkResult) -> str:
    """What was measured, in a sentence or two."""
    methods = len({row.form_of for row in result.rows if row.uses_network})
    cues = len({row.method for row in result.rows if not row.uses_network})
    beside = f" and {format_count(cues, 'map')} that no network is asked for" if cues else ""
    return (
        f"The heatmaps of {methods} methods, which mark in an image why a network decides as it does,{beside} are "
        f"scored against masks of the pixels that make the class: the mean area under the IoU curve over "
        f"{result.settings.thresholds} thresholds, in percent. A map that matches its mask at every threshold above 0 "
        "has nearly 100."
    )


def material(result: BenchmarkResult) -> dict[str, str]:
    """Data set -> how many images, folds and networks, and how accurate these are."""
    return {name: _material(note) for name, note in result.settings.data.items()}


def _material(note: DatasetNote) -> str:
    images = sum(note.images)
    if note.fitted_on_scored_images is None:
        parts = [
            f"{format_count(images, 'image')} in {format_count(note.folds, 'fold')}",
            f"for each fold a network that was not trained on it, {_accuracy(note)}",
        ]
    else:
        accuracy = _accuracy(note) or "asked for the class that it predicts"
        origin = "the same images" if note.fitted_on_scored_images else "other images"
        parts = [
            format_count(images, "image"),
            f"one network, {accuracy}",
            f"vebi’s features were selected on {origin}",
        ]
    return "; ".join(parts)


def _accuracy(note: DatasetNote) -> str:
    """Of the networks on the scored images, empty where their classes are not known."""
    shares = [share for share in note.correct if share is not None]
    if not shares:
        return ""
    correct = sum(count * share for count, share in zip(note.images, shares, strict=True))
    return f"accuracy {percent(correct / sum(note.images))}"


def caption(result: BenchmarkResult) -> str:
    """What stands in the main table."""
    parts = ["mean ± standard deviation over networks" if has_folds(result) else "mean over images"]
    parts += ["the published score beside it"] if has_published(result) else []
    parts.append(f"and vebi’s score divided by the method’s, {_interval(result)}")
    return f"Area under the IoU curve in percent: {', '.join(parts)}."


def _interval(result: BenchmarkResult) -> str:
    """What the intervals in the main table are of."""
    inference, networks = result.settings.inference, len(result.rows[0].auc_iou)
    if inference == "networks" and all(row.ratio_interval is None for row in result.rows):
        return f"without an interval, for which {networks} networks are too few"
    return f"with {INTERVAL[inference]}"


def terms(result: BenchmarkResult) -> list[tuple[str, str]]:
    """Every column and what it means."""
    columns = [(title, MEANINGS[name]) for name, title in score_titles(result.rows).items()]
    if has_folds(result):
        columns.append(("mean ± deviation", DEVIATION))
    if any(row.best_choice for row in result.rows):
        columns.append((WITH_BEST_CHOICE, BEST_CHOICE))
    if any(not row.uses_network for row in result.rows):
        columns.append((WITHOUT_NETWORK, CUES))
    ratio, p_value = RATIO[result.settings.inference], P_VALUE[result.settings.inference]
    return [*columns, (RATIO_TITLE, ratio), (P_TITLE, p_value), (WHOLE_IMAGE, MASK_SHARE)]


def mosaics(result: BenchmarkResult) -> str:
    """What the mosaics were made of, empty where there were none."""
    notes = {name: note for name, note in result.settings.data.items() if sum(note.mosaics)}
    parts = [
        f"{format_count(sum(note.mosaics), 'mosaic')} of images at {'full' if note.full_size else 'half'} size"
        + (f" from {name}" if len(notes) > 1 else "")
        for name, note in notes.items()
    ]
    return f"{join_words(parts)}; chance gives {CHANCE:.0f} %." if parts else ""


def sensitivity_caption(result: BenchmarkResult) -> str:
    """What stands in the sensitivity table."""
    varied = result.settings.plan.get("varied")
    fewer = f"; on up to {format_count(int(varied), 'image')} per class and fold" if varied else ""
    return f"The score of the main table where one choice is made differently and all others stay{fewer}."


def choices(result: BenchmarkResult) -> list[tuple[str, str]]:
    """The choices that were varied and what they are."""
    varied = {row.choice for rows in result.sensitivity.values() for row in rows}
    mu = result.settings.plan["mu"]
    return [(name, text.format(mu=mu)) for name, text in CHOICES.items() if name in varied]


def provenance(result: BenchmarkResult) -> list[tuple[str, str]]:
    """How the benchmark was made."""
    settings = result.settings
    items = [] if settings.command is None else [("command", settings.command)]
    items += [(PLAN.get(name, name), str(value)) for name, value in settings.plan.items() if value is not None]
    items.append(("thresholds of the IoU curve", str(settings.thresholds)))
    for name, note in settings.data.items():
        items.append((f"images of {name}", f"sha256 {note.data_sha256}"))
        items.append((f"networks of {name}", f"sha256 {', '.join(map(_network, note.networks))}"))
    items += [(f"method {name}", text) for name, text in settings.methods.items()]
    items.append(("versions", ", ".join(f"{name} {version}" for name, version in settings.versions.items())))
    return [*items, ("created", settings.created), ("the paper", PAPER)]


def _network(network: NetworkNote) -> str:
    return network.model + ("" if network.accuracy is None else f" (accuracy {percent(network.accuracy)})")
