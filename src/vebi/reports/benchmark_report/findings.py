"""Where vebi stands among the methods of a benchmark, in sentences."""

from collections.abc import Mapping, Sequence

from vebi.reports.benchmark_report.glossary import CHANCE, WITHOUT_NETWORK, score_titles
from vebi.reports.benchmark_report.number_formats import format_number, format_ordinal, join_words
from vebi.reports.benchmark_report.result import BenchmarkResult, Inference
from vebi.reports.benchmark_report.rows import (
    GRID_POINTING,
    MAIN_METRIC,
    OURS,
    MethodRow,
    SensitivityRow,
    group_by_dataset,
)

#: Methods that a sentence names at most; the tables have all.
NAMED_METHODS = 3


def findings(result: BenchmarkResult) -> dict[str, list[str]]:
    """Data set -> where vebi stands, with everything that it is not first in."""
    transformed, inference = group_by_dataset(result.transformed_rows), result.settings.inference
    sentences = {}
    for dataset, all_rows in group_by_dataset(result.rows).items():
        rows, after = (_compared(of_form) for of_form in (all_rows, transformed[dataset]))
        titles = {row.method: row.title if row.uses_network else f"{row.title} {WITHOUT_NETWORK}" for row in rows}
        cues, cues_after = _cues(rows, titles), _cues(after, titles)
        sentences[dataset] = [
            _standing(rows, titles, inference),
            *_best_choices(all_rows, titles),
            *([cues[0].upper() + cues[1:]] if cues else []),
            f"After one transform for all maps {_standing(after, titles, inference)}",
            *([f"After it, {cues_after}"] if cues else []),
            *_other_scores(rows, titles),
            *_sensitivity(result.sensitivity.get(dataset, ()), titles),
        ]
    return sentences


def above_ours(row: SensitivityRow, default: SensitivityRow) -> dict[str, float]:
    """The methods that a choice puts above vebi, the highest first.

    Args:
        row: The row of the choice.
        default: The row of the defaults, which has the scores of the methods that the choice does not affect.
    """
    values = {**default.auc_iou, **row.auc_iou}
    return dict(sorted(((m, v) for m, v in values.items() if v > values[OURS]), key=lambda pair: -pair[1]))


def format_sensitivity(row: SensitivityRow, method: str, above: Mapping[str, float]) -> str:
    """A method's score in a row, empty where the choice does not affect it; vebi's with ▼ where others are above it."""
    text = format_number(row.auc_iou.get(method))
    return f"{text} ▼" if text and method == OURS and above else text


def _standing(rows: Sequence[MethodRow], titles: Mapping[str, str], inference: Inference) -> str:
    """Among the methods that ask a network."""
    methods = [row for row in rows if row.uses_network]
    return _rank(methods, titles) + _undecided(methods, titles, inference)


def _compared(rows: Sequence[MethodRow]) -> list[MethodRow]:
    """Vebi and its rivals with their defaults, without other forms of vebi."""
    return [row for row in rows if row.method == OURS or (row.is_rival and not row.best_choice)]


def _best_choices(rows: Sequence[MethodRow], titles: Mapping[str, str]) -> list[str]:
    """How far methods get at their best, none where no choices were made."""
    best = [row for row in rows if row.best_choice and (row.form_of == OURS or row.is_rival)]
    ranked = sorted(best, key=lambda row: -row.mean)
    if not ranked:
        return []
    shown = [row for place, row in enumerate(ranked) if place < NAMED_METHODS or row.form_of == OURS]
    names = join_words([f"{titles[row.form_of]} has {format_number(row.mean)}" for row in shown])
    return [f"With the best choice of each, made on training images, {names}."]


def _rank(rows: Sequence[MethodRow], titles: Mapping[str, str]) -> str:
    scores = {row.method: row.mean for row in rows}
    ours = format_number(scores[OURS])
    above = _above(scores)
    if above:
        place = format_ordinal(len(above) + 1)
        return f"vebi has {ours} and comes {place} of {len(rows)} methods, behind {_with_scores(above, titles)}."
    others = sorted((method for method in scores if method != OURS), key=lambda method: -scores[method])
    if not others:
        return f"vebi has {ours}."
    second = f"next comes {titles[others[0]]} with {format_number(scores[others[0]])}"
    return f"vebi has the highest score of {len(rows)} methods, {ours}; {second}."


def _undecided(rows: Sequence[MethodRow], titles: Mapping[str, str], inference: Inference) -> str:
    """The methods whose ratio to vebi may be 1, empty where there is none."""
    level = [row for row in rows if row.method != OURS and row.undecided]
    if not level:
        return ""
    if inference == "networks" and all(row.ratio_interval is None for row in rows):
        return f" {len(level[0].auc_iou)} networks are too few to show which is ahead."
    names = join_words([titles[row.method] for row in level])
    unit = "networks" if inference == "networks" else "images"
    return f" The interval of the ratio contains 1 for {names}: these {unit} do not show which is ahead."


def _cues(rows: Sequence[MethodRow], titles: Mapping[str, str]) -> str:
    """How far the best map without a network gets, and what else without one passes vebi; empty where there is none."""
    cues = sorted((row for row in rows if not row.uses_network), key=lambda row: -row.mean)
    if not cues:
        return ""
    first, *others = cues
    ours = next(row for row in rows if row.method == OURS)
    best = max((row for row in rows if row.uses_network), key=lambda row: row.mean)
    against = f"{_side(first, ours)} vebi ({format_number(ours.mean)})"
    if best.mean > ours.mean:
        against += (
            f" and {_side(first, best)} the best method with one, {titles[best.method]} ({format_number(best.mean)})"
        )
    else:
        against += ", the best method with one"
    level = " The interval of its ratio contains 1." if first.ratio_interval and first.undecided else ""
    above = {row.title: row.mean for row in others if row.mean > ours.mean}
    also = f" Above vebi, too: {_with_scores(above, {})}." if above else ""
    return f"without any network, {first.title} reaches {format_number(first.mean)}: {against}.{level}{also}"


def _side(row: MethodRow, other: MethodRow) -> str:
    if row.mean == other.mean:
        return "level with"
    return "above" if row.mean > other.mean else "below"


def _other_scores(rows: Sequence[MethodRow], titles: Mapping[str, str]) -> list[str]:
    sentences, first = [], []
    for column, title in score_titles(rows).items():
        if column == MAIN_METRIC:
            continue
        scores = {row.method: row.score(column) for row in rows}
        above = _above(scores)
        if not above:
            first.append(title)
            continue
        chance = f" (chance {CHANCE:.0f})" if column == GRID_POINTING else ""
        verb = "is" if len(above) == 1 else "are"
        sentences.append(
            f"By {title}{chance}, {_with_scores(above, titles)} {verb} ahead of vebi ({format_number(scores[OURS])})."
        )
    return [f"By {join_words(first)} no method is ahead of vebi.", *sentences] if first else sentences


def _sensitivity(rows: Sequence[SensitivityRow], titles: Mapping[str, str]) -> list[str]:
    cases = []
    for row in rows:
        above = above_ours(row, rows[0])
        if above:
            ours = format_number(row.auc_iou.get(OURS, rows[0].auc_iou[OURS]))
            change = ": ".join(part for part in (row.choice, row.setting) if part)
            cases.append(f"{_with_scores(above, titles)} against vebi’s {ours} ({change})")
    return [f"Where one choice is made differently, others are ahead: {'; '.join(cases)}."] if cases else []


def _with_scores(scores: Mapping[str, float], titles: Mapping[str, str]) -> str:
    """``Grad-CAM (64.3), LayerCAM (60.1) and 2 more``."""
    return join_words([f"{titles.get(m, m)} ({format_number(score)})" for m, score in scores.items()], NAMED_METHODS)


def _above(scores: Mapping[str, float | None]) -> dict[str, float]:
    """The methods with a higher score than vebi, the highest first."""
    ours = scores[OURS]
    assert ours is not None, "vebi has every score that any method has"
    higher = {method: score for method, score in scores.items() if score is not None and score > ours}
    return dict(sorted(higher.items(), key=lambda pair: -pair[1]))
