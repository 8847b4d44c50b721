"""The table of one network on images without masks as Markdown."""

from vebi.reports.benchmark_report.glossary import WITHOUT_NETWORK
from vebi.reports.benchmark_report.image_table import ImageRow, ImageTable, Paired
from vebi.reports.benchmark_report.network_table import CURVES
from vebi.reports.benchmark_report.rows import OURS
from vebi.reports.markdown import bold, bullet_list, escape_markdown, markdown_table

_DEPTHS = {"1": "last layer", "2": "last 2", "3": "last 3", "all": "all"}
_TERMS = (
    "deletion, insertion: area under the curve of the class probability in percent as pixels are replaced by the "
    "blurred or grey image, highest first (lower is better), or come into it (higher is better); 14 steps",
    "difference: the method’s mean less vebi’s on the same images, with the 95 % interval of paired images (Student’s "
    "t); bold where the interval leaves out 0 and vebi is behind",
    "grid pointing: four images of different predicted classes in one, each class asked for in turn: the share of the "
    "map in the right quarter, in percent",
    "sparseness: Gini index of the maps; empty: maps all of whose values are equal",
    "random parameters: rank correlation of the maps with those of the network whose last layers are random, features "
    "kept, and how many of these are empty. A map that stays the same explains the image and not the network",
)


def render_image_markdown(table: ImageTable) -> str:
    """The tables, what their columns mean, and how they were made."""
    heading = f"# Heatmaps on {escape_markdown(table.data)}, without masks"
    parts = [heading, escape_markdown(_material(table)), _curves(table)]
    if any(value is not None for row in table.rows for value in row.randomisation.values()):
        parts += [f"## Random parameters, on {table.checked} images", _randomised(table)]
    parts += ["## What the columns mean", bullet_list(_TERMS)]
    made = [f"{name}: {value}" for name, value in table.settings.items() if value is not None]
    parts += ["## How it was made", bullet_list([*made, *(f"method {row.method}: {row.made}" for row in table.rows)])]
    return "\n\n".join(parts) + "\n"


def _material(table: ImageTable) -> str:
    settings = table.settings
    fitted = "the images that are scored" if settings["fitted_on_scored_images"] else "other images"
    if settings.get("folds"):
        fitted = f"the other images, in {settings['folds']} folds"
    return (
        f"One network with {table.classes:,} classes on {table.images} images, each explained for its predicted class; "
        f"vebi’s features were selected on {fitted}. sheet.webp shows {min(24, table.images)} of them with all maps."
    )


def _curves(table: ImageTable) -> str:
    """Deletion and insertion with their differences to vebi, best insertion into the blurred image first."""
    head = ["method", "images", *(title for name in CURVES for title in (name.replace("_", ", "), "difference"))]
    rows = sorted(table.rows, key=lambda row: -row.curves["insertion_blur"].mean)
    lines = []
    for row in rows:
        cells = [_title(row), str(row.images)]
        for name in CURVES:
            paired = row.curves[name]
            cells += [f"{paired.mean:.1f}", "" if row.method == OURS else _difference(paired, name)]
        pointing = "" if row.grid_pointing is None else f"{row.grid_pointing:.1f}"
        sparse = "" if row.sparseness is None else f"{row.sparseness:.2f}"
        lines.append([*cells, pointing, sparse, f"{100 * row.empty:.0f} %"])
    return markdown_table([*head, "grid pointing", "sparseness", "empty"], lines)


def _difference(paired: Paired, name: str) -> str:
    if paired.interval is None:
        return f"{paired.difference:+.1f}"
    low, high = paired.interval
    behind = high < 0 if name.startswith("deletion") else low > 0
    return bold(f"{paired.difference:+.1f} ({low:+.1f} to {high:+.1f})", behind)


def _randomised(table: ImageTable) -> str:
    lines = []
    for row in table.rows:
        if all(value is None for value in row.randomisation.values()):
            continue
        cells = [_title(row)]
        for name in _DEPTHS:
            value, empty = row.randomisation[name], row.randomised_empty[name]
            cells += ["" if value is None else f"{value:.2f}", "" if empty is None else f"{100 * empty:.0f} %"]
        lines.append(cells)
    head = ["method", *(title for depth in _DEPTHS.values() for title in (f"{depth} random", "empty"))]
    return markdown_table(head, lines)


def _title(row: ImageRow) -> str:
    return bold(
        escape_markdown(row.title if row.uses_network else f"{row.title} {WITHOUT_NETWORK}"), row.method == OURS
    )
