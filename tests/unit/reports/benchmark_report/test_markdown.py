"""The text has whole tables with the right numbers, says where vebi is behind, and leaves out what there is not."""

import re
from dataclasses import replace

import pytest
from benchmark_support import cue, own, rerun, row

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.glossary import CHOICES, MEANINGS
from vebi.reports.benchmark_report.markdown import render_markdown
from vebi.reports.benchmark_report.number_formats import (
    format_count,
    format_mean_std,
    format_number,
    format_ordinal,
    format_p,
    format_ratio,
    join_words,
)
from vebi.reports.benchmark_report.rows import GRID_POINTING
from vebi.reports.markdown import escape_markdown, markdown_table


def tables(text):
    """Every table as a list of rows of cells; ``\\|`` is no border."""
    blocks = []
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and all(line.startswith("|") for line in lines):
            blocks.append([[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines])
    return blocks


def line_of(cells, name):
    return next(line for line in cells if line[0] == name)


def test_all_rows_of_a_table_have_as_many_cells_and_stand_below_each_other():
    for result in (rerun(), own(), own("odd | name *x*")):
        text = render_markdown(result)
        for cells in tables(text):
            assert {len(line) for line in cells} == {len(cells[0])}
        for block in text.split("\n\n"):
            if block.startswith("|"):
                assert len({len(line) for line in block.splitlines()}) == 1
        assert not re.search(r"\b(nan|None|inf)\b", text)


def test_the_main_table_has_both_data_sets_and_the_published_scores():
    text = render_markdown(rerun())
    main = tables(text)[0]
    assert main[0] == ["method", "single-6c", "published", "vebi / method", "double-12c", "published", "vebi / method"]
    assert line_of(main, "vebi")[1:4] == ["**50.0 ± 2.8**", "**22.5 ± 0.8**", ""]
    assert line_of(main, "Grad-CAM (first)")[1:4] == ["40.0 ± 2.8", "17.5 ± 0.2", "1.25 (1.20 to 1.30)"]
    assert line_of(main, "*marking the whole image*") == [
        "*marking the whole image*",
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
        "*without a network*",
        "saturation",
        "*marking the whole image*",
    ]
    assert "not comparable one to one" in text
    (material,) = {line.partition(": ")[2] for line in text.splitlines() if re.match(r"\*\*(single|double)", line)}
    assert "1 200 images" in material.replace("\u202f", " ")
    assert "2 folds" in material
    assert "97.5 %" in material


def test_every_score_with_chance_and_the_best_in_bold():
    detail = tables(render_markdown(rerun()))[1]
    titles = ["method", *(metric.title for metric in METRICS), "grid pointing", "p (area under the IoU curve)"]
    assert detail[0] == titles
    assert line_of(detail, "vebi") == ["vebi", "**50.0**", *["80.0"] * 5, "40.0", ""]
    assert line_of(detail, "Grad-CAM (first)")[-2:] == ["**64.3**", "< 0.001"]
    assert line_of(detail, "Grad-CAM with the stride fix")[2] == "**90.0**"
    assert line_of(detail, "gradient")[-1] == "0.123"
    assert line_of(detail, "*marking the whole image*")[1:] == [*["11.3"] * 6, "25.0", ""]


def test_the_table_after_the_transform_has_its_own_best_and_nothing_published():
    text = render_markdown(rerun())
    after = tables(text)[3]
    assert after[0] == ["method", "single-6c", "vebi / method", "double-12c", "vebi / method"]
    assert line_of(after, "Grad-CAM with the stride fix")[1] == "**62.0 ± 5.7**"
    assert line_of(after, "vebi")[1] == "60.0 ± 2.8"
    assert "Gaussian" in text
    assert "Otsu" in text


def test_other_choices_leave_blank_what_they_do_not_affect_and_mark_what_passes_vebi():
    text = render_markdown(rerun())
    varied = tables(text)[4]
    assert varied[0] == ["choice", "vebi", "Grad-CAM (first)"]
    assert varied[2:] == [
        ["as in the table", "49.0", "39.0"],
        ["layer of Grad-CAM: relu1", "·", "**61.2**"],
        ["mu: 1", "30.0 ▼", "·"],
        ["mu: 2", "31.0 ▼", "·"],
    ]
    assert "its features (5): the larger" in text
    assert CHOICES["thresholds"] not in text
    assert "up to 2 images per class and fold" in text


def findings(text):
    return text.partition("## Where vebi stands")[2].partition("## The table")[0]


def sentence(text, *facts):
    """The one finding about the first data set with all these facts in it, in their order."""
    lines = findings(text).partition("### double-12c")[0].splitlines()
    (line,) = [line for line in lines if re.search(".*".join(map(re.escape, facts)), line)]
    return line


def test_where_vebi_is_behind_is_said():
    text = render_markdown(rerun())
    first = sentence(text, "vebi", "highest", "4 methods", "50.0", "gradient", "48.0")
    assert first.count("gradient") == 2  # whose ratio may be 1: 50 / 48 and 0.05 on both sides
    assert sentence(text, "vebi", "60.0", "2nd of 4 methods", "Grad-CAM with the stride fix (62.0)")
    assert "networks do not show" in first
    facts = ("Grad-CAM with the stride fix (90.0)", "saturation without a network (85.0)", "vebi (80.0)")
    assert sentence(text, "best IoU", *facts)
    assert sentence(text, "grid pointing (chance 25)", "Grad-CAM (first) (64.3)", "vebi (40.0)")
    assert "the transform" not in findings(text)
    varied = sentence(text, "Grad-CAM (first) (61.2)", "49.0 (layer of Grad-CAM: relu1)")
    assert "Grad-CAM (first) (39.0) against vebi’s 30.0 (mu: 1)" in varied  # which the choice does not affect


def with_cues(*means, transformed=10):
    """One network: vebi has 50, the best method 55."""

    def of(k, mean):
        return replace(cue("birds", (mean,)), method=f"cue{k}", title=f"cue {k}", grid_pointing=None)

    result, cues = own(), tuple(of(k, mean) for k, mean in enumerate(means))
    return replace(result, rows=(*result.rows, *cues), transformed_rows=(*result.transformed_rows, of(0, transformed)))


@pytest.mark.parametrize(
    ("means", "facts"),
    [
        ((30, 45), ("cue 1 reaches 45.0", "below vebi (50.0)", "below", "gradient (55.0)")),
        ((52, 30), ("cue 0 reaches 52.0", "above vebi (50.0)", "below", "gradient (55.0)", "contains 1")),
        ((60, 58, 30), ("cue 0 reaches 60.0", "above vebi (50.0)", "above", "gradient (55.0)", "cue 1 (58.0)")),
        ((50,), ("cue 0 reaches 50.0", "level with vebi (50.0)", "gradient (55.0)", "contains 1")),
    ],
)
def test_how_far_an_image_alone_gets_is_said(means, facts):
    text = render_markdown(with_cues(*means))
    line = sentence(text, "Without any network, ", *facts)
    assert ("cue 1" in line) == ("cue 1" in "".join(facts))
    assert ("contains 1" in line) == ("contains 1" in "".join(facts))
    assert sentence(text, "After it, without any network, cue 0 reaches 10.0")
    assert sentence(text, "- vebi has 50.0 and comes 2nd of 5 methods")  # which a map without a network is not
    assert re.search(rf"5 methods.* {len(means)} maps? that no network", text)


def test_maps_without_a_network_are_not_spoken_of_where_there_are_none():
    assert not re.search("without a(ny)? network|no network", render_markdown(own()))


def test_what_was_resampled_is_said():
    of_networks, of_images = render_markdown(rerun()), render_markdown(own())
    assert "interval over networks and their images" in of_networks
    assert "networks are resampled" in of_networks
    assert "images of this one network" not in of_networks
    assert of_images.count("images of this one network") == 3  # above the table, and what ratio and p mean
    assert "networks are resampled" not in of_images
    assert "these images do not show" in render_markdown(own(ratio=1.0, ratio_interval=(0.9, 1.1)))
    earlier = render_markdown(replace(rerun(), settings=replace(rerun().settings, inference="earlier")))
    assert "Wilcoxon" in earlier
    assert "these images do not show" in earlier
    assert "networks are resampled" not in earlier


def test_too_few_networks_are_said_to_be_too_few():
    result = rerun()
    rows, after = (
        tuple(replace(r, ratio_interval=None) for r in rows) for rows in (result.rows, result.transformed_rows)
    )
    text = render_markdown(replace(result, rows=rows, transformed_rows=after))
    assert line_of(tables(text)[0], "Grad-CAM (first)")[3] == "1.25"
    assert "2 networks are too few" in text.partition("## The table")[2]
    assert sentence(text, "vebi has the highest", "2 networks are too few")
    assert "contains 1" not in findings(text)


def test_images_of_ones_own_have_no_columns_without_content():
    text = render_markdown(own())
    assert re.match("# .* birds\n", text)
    main, detail, after = tables(text)
    assert main[0] == ["method", "birds", "vebi / method"]
    assert line_of(main, "gradient")[1] == "**55.0**"
    assert line_of(main, "my own")[:2] == ["my own", "45.0"]
    assert re.search(r"vebi has 50\.0 .* 2nd of 5 methods, .*gradient \(55\.0\)", text)
    assert "grid pointing" not in text
    assert "ublished" not in text
    assert "folds" not in detail[0]
    assert "±" not in text
    assert "Sensitivity" not in text
    assert "### " not in text
    assert re.search("one network, .*100 %.* on the same images", text)
    assert after[0] == main[0]


def test_how_it_was_made():
    settings = rerun().settings
    plan = {**settings.plan, "cam_layer": None, "new": "setting"}
    result = replace(rerun(), settings=replace(settings, command="make it", plan=plan))
    text = render_markdown(result).partition("## How it was made")[2]
    for fact in (
        "command: make it",
        "seed: 7",
        "mu of the fit as in the paper: 5.0",
        "new: setting",
        "python 3.11.7, vebi 0.1.0",
        "d" * 64,
        "e" * 64,
        "2026-01-02T03:04:05",
    ):
        assert fact in text
    assert "None" not in text
    assert "cam" not in text
    assert "command" not in render_markdown(rerun()).partition("## How it was made")[2]


def test_names_cannot_break_the_text():
    text = render_markdown(own("a|b", title="<b>|*x*_y_`z`\n# no"))
    assert r"\<b\>\|\*x\*\_y\_\`z\` # no" in text
    assert "<b>" not in text
    assert re.match(r"# .* a\\\|b\n", text)
    assert escape_markdown("a  [b]\n") == r"a \[b\]"
    assert escape_markdown("plain-6c ± 1.0") == "plain-6c ± 1.0"


def test_a_method_that_marks_nothing_has_no_broken_numbers():
    result = own(mean=0.0, ratio=float("inf"), ratio_interval=(float("nan"),) * 2)
    assert line_of(tables(render_markdown(result))[0], "my own") == ["my own", "0.0", "∞"]


def test_every_metric_has_a_meaning():
    assert set(MEANINGS) == {metric.name for metric in METRICS} | {GRID_POINTING}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_number(46.25), "46.2"),
        (format_number(None), ""),
        (format_number(float("nan")), ""),
        (format_mean_std(1.0, None), "1.0"),
        (format_p(0.00099), "< 0.001"),
        (format_p(0.001), "0.001"),
        (format_p(None), ""),
        (join_words(["a"]), "a"),
        (join_words(["a", "b"]), "a and b"),
        (join_words(["a", "b", "c", "d"], 2), "a, b and 2 more"),
        (
            format_ratio(replace(row("a", "x", "x", (1,)), ratio=1.234, ratio_interval=(1.0, 1.5))),
            "1.23 (1.00 to 1.50)",
        ),
        (format_ratio(row("a", "vebi", "vebi", (1,))), ""),
        (format_ratio(row("a", "x", "x", (1,), pointing=32.0), GRID_POINTING), "1.25 (1.15 to 1.35)"),
        (format_ratio(row("a", "x", "x", (1,), pointing=None), GRID_POINTING), ""),
        (format_count(1, "image"), "1 image"),
        (format_count(1500, "image"), "1\u202f500 images"),
        (" ".join(map(format_ordinal, (1, 2, 3, 4, 11, 21, 112))), "1st 2nd 3rd 4th 11th 21st 112th"),
    ],
)
def test_numbers_as_text(text, expected):
    assert text == expected


def test_a_table_is_aligned():
    assert markdown_table(["a", "bb"], [["1", "2"], ["long", "x"]]).splitlines() == [
        "| a    |  bb |",
        "| ---- | --: |",
        "| 1    |   2 |",
        "| long |   x |",
    ]
