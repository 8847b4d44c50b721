"""The text has whole tables with the right numbers, says where vebi is behind, and leaves out what there is not."""

import re

import pytest
from contest_support import own, rerun

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_markdown import escaped, in_markdown, table
from vebi.reports.benchmark_text import CHOICES, GRID, MEANINGS, chance, figure, listed, ratio, spread


def tables(text):
    """Every table as a list of rows of cells; ``\\|`` is no border."""
    found = []
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and all(line.startswith("|") for line in lines):
            found.append([[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines])
    return found


def line_of(cells, name):
    return next(line for line in cells if line[0] == name)


def test_all_rows_of_a_table_have_as_many_cells_and_stand_below_each_other():
    for found in (rerun(), own(), own("odd | name *x*")):
        text = in_markdown(found)
        for cells in tables(text):
            assert {len(line) for line in cells} == {len(cells[0])}
        for block in text.split("\n\n"):
            if block.startswith("|"):
                assert len({len(line) for line in block.splitlines()}) == 1
        assert not re.search(r"\b(nan|None|inf)\b", text)


def test_the_main_table_has_both_data_sets_and_the_published_figures():
    text = in_markdown(rerun())
    main = tables(text)[0]
    assert main[0] == ["method", "single-6c", "published", "vebi / it", "double-12c", "published", "vebi / it"]
    assert line_of(main, "vebi")[1:4] == ["**50.0 ± 2.8**", "**22.5 ± 0.8**", ""]
    assert line_of(main, "Grad-CAM (first)")[1:4] == ["40.0 ± 2.8", "17.5 ± 0.2", "1.25 (1.20 to 1.30)"]
    assert line_of(main, "*marking the whole picture*") == [
        "*marking the whole picture*",
        "11.3",
        "",
        "",
        "11.3",
        "",
        "",
    ]
    order = [line[0] for line in main[2:]]
    assert order == [
        "*in the paper’s table 1*",
        "vebi",
        "Grad-CAM (first)",
        "*further methods*",
        "Grad-CAM with the stride fix",
        "gradient",
        "*marking the whole picture*",
    ]
    assert "not comparable one to one" in text
    assert "1 200 pictures in 2 folds; for each fold a network that was not trained on it, right on 97.5 %" in (
        text.replace("\u202f", " ")
    )


def test_every_score_with_chance_and_the_best_in_bold():
    detail = tables(in_markdown(rerun()))[1]
    titles = ["method", *(metric.title for metric in METRICS), "grid pointing", "p (area under the IoU curve)"]
    assert detail[0] == titles
    assert line_of(detail, "vebi") == ["vebi", "**50.0**", *["80.0"] * 5, "40.0", ""]
    assert line_of(detail, "Grad-CAM (first)")[-2:] == ["**64.3**", "< 0.001"]
    assert line_of(detail, "Grad-CAM with the stride fix")[2] == "**90.0**"
    assert line_of(detail, "gradient")[-1] == "0.123"
    assert line_of(detail, "*marking the whole picture*")[1:] == [*["11.3"] * 6, "25.0", ""]


def test_the_table_after_the_transform_has_its_own_best_and_nothing_published():
    text = in_markdown(rerun())
    after = tables(text)[3]
    assert after[0] == ["method", "single-6c", "vebi / it", "double-12c", "vebi / it"]
    assert (
        line_of(after, "Grad-CAM with the stride fix")[1] == "**62.0 ± 5.7**"
        and line_of(after, "vebi")[1] == "60.0 ± 2.8"
    )
    assert "Gaussian" in text and "Otsu" in text


def test_other_choices_leave_blank_what_they_do_not_touch_and_mark_what_passes_vebi():
    text = in_markdown(rerun())
    varied = tables(text)[4]
    assert varied[0] == ["choice", "vebi", "Grad-CAM (first)"]
    assert varied[2:] == [
        ["as in the table", "49.0", "39.0"],
        ["layer of Grad-CAM: relu1", "·", "**61.2**"],
        ["mu: 1", "30.0 ▼", "·"],
        ["mu: 2", "31.0 ▼", "·"],
    ]
    assert "its features (5): the larger" in text and CHOICES["thresholds"] not in text
    assert "up to 2 pictures a class and fold" in text


def test_where_vebi_is_behind_is_said():
    text = in_markdown(rerun())
    assert "- vebi has the highest score of 4 methods, 50.0; next comes gradient with 48.0." in text
    assert "the transform" not in text.partition("## The table")[0]
    assert "vebi has 60.0 and comes 2nd of 4 methods, behind Grad-CAM with the stride fix (62.0)." in text
    assert "The interval of the ratio holds 1 for gradient" in text  # 50 / 48 and 0.05 on both sides
    assert "By best IoU, Grad-CAM with the stride fix (90.0) is ahead of vebi (80.0)." in text
    assert "By grid pointing (chance 25), Grad-CAM (first) (64.3) is ahead of vebi (40.0)." in text
    assert "others are ahead: Grad-CAM (first) (61.2) against vebi’s 49.0 (layer of Grad-CAM: relu1); " in text
    assert "Grad-CAM (first) (39.0) against vebi’s 30.0 (mu: 1)" in text  # which the choice does not touch


def test_pictures_of_ones_own_have_no_columns_without_content():
    text = in_markdown(own())
    assert text.startswith("# How well heatmaps meet the masks of birds\n")
    main, detail, after = tables(text)
    assert main[0] == ["method", "birds", "vebi / it"] and line_of(main, "gradient")[1] == "**55.0**"
    assert line_of(main, "my own")[:2] == ["my own", "45.0"]
    assert "vebi has 50.0 and comes 2nd of 5 methods, behind gradient (55.0)." in text
    assert "grid pointing" not in text and "ublished" not in text and "folds" not in detail[0] and "±" not in text
    assert "Other choices" not in text and "### " not in text
    assert "one network, right on 100 % of them; vebi’s features were chosen from the same pictures" in text
    assert after[0] == main[0]


def test_how_it_was_made():
    found = rerun()
    found["settings"]["command"] = "make it"
    found["settings"]["plan"] |= {"cam_layer": None, "new": "setting"}
    text = in_markdown(found).partition("## How it was made")[2]
    for said in (
        "command: make it",
        "seed: 7",
        "mu of the fit: 5.0",
        "new: setting",
        "python 3.11.7, vebi 0.1.0",
        "d" * 64,
        "e" * 64,
        "2026-01-02T03:04:05",
    ):
        assert said in text
    assert "None" not in text and "cam" not in text
    assert "command" not in in_markdown(rerun()).partition("## How it was made")[2]


def test_names_cannot_break_the_text():
    found = own("a|b")
    found["rows"][-1]["title"] = found["transformed_rows"][-1]["title"] = "<b>|*x*_y_`z`\n# no"
    text = in_markdown(found)
    assert r"\<b\>\|\*x\*\_y\_\`z\` # no" in text and "<b>" not in text
    assert "# How well heatmaps meet the masks of a\\|b" in text
    assert escaped("a  [b]\n") == r"a \[b\]" and escaped("plain-6c ± 1.0") == "plain-6c ± 1.0"


def test_a_method_that_marks_nothing_has_no_broken_numbers():
    found = own()
    for some in (found["rows"], found["transformed_rows"]):
        some[-1] |= {"mean": 0.0, "ratio_of_vebi_to_it": float("inf"), "ratio_interval": [float("nan")] * 2}
    assert line_of(tables(in_markdown(found))[0], "my own") == ["my own", "0.0", "∞"]


def test_every_metric_has_a_meaning():
    assert set(MEANINGS) == {metric.name for metric in METRICS} | {GRID}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (figure(46.25), "46.2"),
        (figure(None), ""),
        (figure(float("nan")), ""),
        (spread(1.0, None), "1.0"),
        (chance(0.00099), "< 0.001"),
        (chance(0.001), "0.001"),
        (chance(None), ""),
        (listed(["a"]), "a"),
        (listed(["a", "b"]), "a and b"),
        (listed(["a", "b", "c", "d"], 2), "a, b and 2 more"),
        (ratio({"method": "x", "ratio_of_vebi_to_it": 1.234, "ratio_interval": [1.0, 1.5]}), "1.23 (1.00 to 1.50)"),
    ],
)
def test_figures_as_text(said, wanted):
    assert said == wanted


def test_a_table_is_aligned():
    assert table(["a", "bb"], [["1", "2"], ["long", "x"]]).splitlines() == [
        "| a    |  bb |",
        "| ---- | --: |",
        "| 1    |   2 |",
        "| long |   x |",
    ]
