"""The page of many networks is valid, needs nothing from outside, and shows all of the table, with its numbers."""

import itertools
import re
from dataclasses import replace

import pytest
from page_support import body, parsed, words

from vebi.benchmark.tuning import BEST as TUNED
from vebi.reports.benchmark_report.network_board import SHOWN, make_network_board
from vebi.reports.benchmark_report.network_markdown import render_network_markdown
from vebi.reports.benchmark_report.network_page import render_network_page, write_network_page
from vebi.reports.benchmark_report.network_table import CURVES, Cell, NetworkRow, NetworkTable
from vebi.reports.benchmark_report.network_terms import TERMS
from vebi.reports.benchmark_report.rows import BEST

METRICS = ("best_iou", "average_precision", "pointing_game", "relevance_mass", "relevance_rank")
SANITY = {"1": {"rank_correlation": 0.5, "structural_similarity": 0.25, "empty": 0.5}, "labels": {}}
#: Title, mean area, whether it explains a network.
METHODS = {
    "vebi": ("vebi", 20.0, True),
    "grad-cam": ("Grad-CAM", 40.0, True),
    "grad-cam-best": ("Grad-CAM, best choice", 44.0, True),
    "vebi-best": ("vebi, best choice", 18.0, True),
    **{f"method-{k}": (f"method {k}", 30.0 - k / 2, True) for k in range(14)},
    "saturation": ("saturation", 15.0, False),
    "edges": ("edges", 5.0, False),
}


def row(variant, architecture, method):
    title, mean, uses_network = METHODS[method]
    ours = method == "vebi"
    return NetworkRow(
        variant=variant,
        scene="meadow",
        architecture=architecture,
        method=method,
        title=title,
        uses_network=uses_network,
        auc_iou=(mean - 2, mean + 2),
        mean=mean,
        std=2.5,
        images=(12, 12),
        shared_mean=mean + 1,
        shared_images=12,
        ratio_to_default=mean / 20,
        ratio_interval=None if ours else (mean / 20 - 0.1, mean / 20 + 0.1),
        p=None if ours else 0.0004,
        grid_pointing=None if method == "method-3" else 60.0 + mean / 10,
        deletion=mean,
        insertion=mean + 1,
        curves=dict.fromkeys(CURVES, mean),
        metrics=dict.fromkeys(METRICS, mean + 2),
        sparseness=50.0,
        deviations={"grid_pointing": None if method == "method-3" else 1.5, "deletion_grey": 0.5},
        randomisation={"1": 0.5},
        sanity=SANITY if uses_network else {},
        empty=7.5,
        described=(f"{method}(layer=a)", f"{method}(layer=b)"),
    )


def table(architectures=("flowernet", "flower-vgg"), variants=("single-6c", "shape-6c"), checked=1):
    places = list(itertools.product(variants, architectures))
    cells = [
        Cell(v, "meadow", a, "d" * 64, 11.0, (0, 1), (0, 0), (97.0, 99.0), ("e" * 64, "f" * 64), checked)
        for v, a in places
    ]
    return NetworkTable(
        rows=tuple(row(v, a, method) for v, a in places for method in METHODS),
        cells=tuple(cells),
        plan={"scored": 12, "few": 6, "epochs": {"single-6c": {"flowernet": 28, "flower-vgg": 16}}},
        versions={"python": "3.11.7"},
        threads=2,
        code_sha256="c" * 64,
        created="2026-01-02T03:04:05+00:00",
        command="vebi bench table2",
    )


def hostile():
    """A table whose every name is hostile."""
    name = 'x" onload="y <b> & {{ 7 }}'
    one = table((name,), (name,))
    return replace(one, rows=tuple(replace(r, title=f"</td><script>z</script> {r.title}") for r in one.rows))


def one_network():
    """One network per architecture, unchecked: no deviations, no intervals."""
    plain = table(checked=0)
    rows = tuple(replace(r, std=None, ratio_interval=None, p=None, sanity={}) for r in plain.rows)
    return replace(plain, rows=rows, command=None)


def board(text, label):
    """The rows of a board by their titles; each a class, a rank and the other cells."""
    return board_of(parsed(text), label)


def board_of(tree, label):
    (found,) = [e for e in tree.iter("table") if e.get("aria-label") == label]
    rows = {}
    for line in found.find("tbody").iter("tr"):
        (head, *cells) = line
        rank = "".join(words(e) for e in head.iter("span"))
        rows[words(head).removeprefix(rank).strip()] = (line.get("class"), rank, [words(c) for c in cells[1:]], line)
    return rows


LABEL = "Area under the IoU curve on single-6c, meadow, flowernet"


@pytest.fixture(scope="module")
def page():
    return render_network_page(table())


TABLES = {"whole": table(), "one network": one_network(), "hostile": hostile()}


@pytest.mark.parametrize("shown", [pytest.param(shown, id=name) for name, shown in TABLES.items()])
def test_every_page_is_valid_and_needs_nothing_from_outside(shown):
    text = render_network_page(shown)
    tree = parsed(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<img", text)
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert {e.get("href") for e in tree.iter("a")} <= {f"#{name}" for name in ids}
    assert not [e for e in tree.iter() if e.get("onload")]
    levels = [int(e.tag[1]) for e in tree.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert not re.search(r"\b(nan|None|inf)\b", words(tree.find("body")))
    for found in tree.iter("table"):  # every row fills the table
        heads = len(list(found.find("thead").iter("th")))
        for line in found.iter("tr"):
            assert sum(int(e.get("colspan", 1)) for e in line if e.tag in ("th", "td")) == heads


def test_methods_are_ranked_with_their_numbers(page):
    rows = board(page, LABEL)
    assert rows["Grad-CAM, best choice"][:3] == ("further", "1", ["44.0 ± 2.5", "2.20 (2.10 to 2.30)"])
    assert rows["Grad-CAM"][:3] == ("paper", "2", ["40.0 ± 2.5", "2.00 (1.90 to 2.10)"])
    assert rows["vebi"][:3] == ("ours", "17", ["20.0 ± 2.5", ""])
    assert rows["vebi, best choice"][:2] == ("ours further", "18")
    assert rows["saturation"][:3] == ("cue", "", ["15.0 ± 2.5", "0.75 (0.65 to 0.85)"])
    assert rows["marking the whole image"][:3] == ("reference", "", ["11.0", ""])
    assert list(rows)[-2:] == ["marking the whole image", "edges"]


def test_the_best_vebi_and_all_maps_without_a_network_are_shown_and_the_rest_lies_folded(page):
    shown, rest = board(page, LABEL), board(page, f"{LABEL}, the rest")
    assert len(shown) == SHOWN + 2 + 2 + 1  # both rows of vebi, two maps without a network, the whole image
    assert list(rest) == [f"method {k}" for k in range(8, 14)]
    assert [rank for _, rank, *_ in rest.values()] == [str(k) for k in range(11, 17)]
    assert words(next(parsed(page).iter("summary"))) == "6 more methods"


def test_a_board_of_few_methods_folds_nothing_away():
    few = [r for r in table().rows_of(table().cells[0]) if not r.method.startswith("method-")]
    assert make_network_board(few, 11.0, 50).rest.rows == ()
    assert "more method" not in body(
        render_network_page(replace(table(("flowernet",), ("single-6c",)), rows=tuple(few)))
    )


def test_marks_and_whiskers_lie_where_the_scores_are(page):
    drawn = board(page, LABEL)["Grad-CAM"][3].find("td/svg")
    assert drawn.find("circle").get("cx") == "80.00%"  # 40 of 50: the longest whisker ends at 46.5
    (whisker,) = [e for e in drawn.iter("line") if e.get("class") == "whisker"]
    assert (whisker.get("x1"), whisker.get("x2")) == ("75.00%", "85.00%")
    assert 'class="whisker"' in page
    assert 'class="whisker"' not in render_network_page(one_network())
    drawn = board(page, LABEL)["saturation"][3].find("td/svg")
    assert drawn.find("rect").get("x") == "30.00%"
    assert drawn.find("circle") is None


def test_every_method_is_on_every_board_and_in_every_table(page):
    tree = parsed(page)
    tables = [words(e) for e in tree.iter("table") if e.get("class") == "figures"]
    assert len(tables) == 2 * 4  # scores and checks
    for title, _, uses_network in METHODS.values():
        assert sum(title in text for text in tables) == (8 if uses_network else 4)
        for variant, architecture in itertools.product(("single-6c", "shape-6c"), ("flowernet", "flower-vgg")):
            label = f"Area under the IoU curve on {variant}, meadow, {architecture}"
            assert title in {*board_of(tree, label), *board_of(tree, f"{label}, the rest")}


def test_other_scores_and_checks_have_their_numbers(page):
    tables = [e for e in parsed(page).iter("table") if e.get("class") == "figures"]
    lines = {words(r.find("th")): [words(c) for c in r.iter("td")] for r in tables[0].iter("tr")}
    curves = ["40.0", "40.0 ± 0.5", "40.0", "40.0"]
    assert lines["Grad-CAM"] == ["41.0", *["42.0"] * 5, "64.0 ± 1.5", *curves, "50.0", "7.5"]
    assert lines["method 3"][6] == ""
    bold = {words(r.find("th")): [words(b) for c in r.iter("td") for b in c.iter("b")] for r in tables[0].iter("tr")}
    assert bold["Grad-CAM, best choice"] == [*["46.0"] * 5, "64.4 ± 1.5"]  # scores against masks and grid pointing
    assert bold["edges"] == []  # deletion and insertion are of too few images
    groups = [words(r) for r in tables[0].iter("tr") if r.get("class") == "group"]
    assert groups == ["methods with their defaults", "methods with their best choice", "without a network"]
    checks = {words(r.find("th")): [words(c) for c in r.iter("td")] for r in tables[4].iter("tr")}
    assert checks["Grad-CAM"] == ["0.50 / 0.25 (50 % empty)", "– / –"]
    assert "saturation" not in checks


def test_nothing_is_shown_without_its_meaning_and_its_making(page):
    content = body(page)
    for _, text in TERMS:
        assert re.sub(r"\s+", " ", text) in content
    for text in (
        "2 networks (2 folds x 1 seed), held-out accuracy 98.0 % (lowest 97.0 %; all of at least 97 %)",
        "the highest area on all images is that of Grad-CAM (best choice), 44.0. Without a network saturation reaches "
        "15.0, 34 % of that (at most half of it)",
        "and none of 2 maps without a network is above it",
        "other methods, each by its better row, ",
        "By the other scores the best map without a network reaches",
        "of the best method’s best IoU 37 % (saturation; Grad-CAM (best choice) 46.0)",
        "fold 1 seed 0 ffffffffffff (99.0 %)",
        "single-6c, flowernet: grad-cam(layer=a) (1), grad-cam(layer=b) (1)",
        "sha256 cccccccccccc",
        "single-6c: flowernet 28, flower-vgg 16",
        "python 3.11.7",
        "vebi bench table2",
    ):
        assert text in content
    keys = [words(e) for e in parsed(page).iter("ul") if e.get("class") == "key"]
    assert len(keys) == 2
    assert all("best choice" in key and "without a network" in key for key in keys)


def test_what_was_not_checked_has_no_section():
    content = body(render_network_page(one_network()))
    assert "depend on what was learned" not in content
    assert "44.0 2.20" in content  # no deviation, no interval


def test_hostile_names_stay_text():
    content = body(render_network_page(hostile()))
    assert 'x" onload="y <b> & {{ 7 }}, meadow' in content
    assert "</td><script>z</script> Grad-CAM" in content


def test_page_and_markdown_have_the_same_tables(page):
    text = render_network_markdown(table())
    assert re.search(r"\| Grad-CAM +\| +41\.0 \| +42\.0 .*\| +64\.0 ± 1\.5 \|", text)
    assert re.search(r"\| Grad-CAM +\| +40\.0 ± 2\.5 \| +2\.00 \(1\.90 to 2\.10\) \| +< 0\.001 \|", text)
    assert re.search(r"\| Grad-CAM +\| 0\.50 / 0\.25 \(50 % empty\) \| +– / – \|", text)
    assert "*methods with their best choice*" in text


def test_rows_with_a_best_choice_are_told_by_the_name_that_tuning_gives():
    assert BEST == TUNED
    assert [r.method for r in table().rows[:4] if r.best_choice] == ["grad-cam-best", "vebi-best"]


def test_the_file_is_whole(tmp_path):
    write_network_page(table(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    parsed((tmp_path / "report.html").read_text(encoding="utf-8"))
