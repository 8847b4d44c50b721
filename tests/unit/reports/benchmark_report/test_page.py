"""The page of a benchmark is valid, needs nothing from outside, and shows all of the result and nothing else."""

import itertools
import re

import html5lib
import numpy as np
import pytest
from benchmark_support import examples, own, rerun
from page_support import body, parsed, words

from vebi.reports.benchmark_report.examples import outline_mask
from vebi.reports.benchmark_report.glossary import CUES, MEANINGS, TRANSFORM
from vebi.reports.benchmark_report.page import render_page, write_benchmark_page


def rows_of(text, label):
    """The cells of a table's rows by the name in front."""
    (table,) = [e for e in parsed(text).iter("table") if e.get("aria-label") == label]
    cells = [[words(cell) for cell in row] for row in table.find("tbody").iter("tr")]
    return {line[0]: [word for word in line[2:] if word] for line in cells}


@pytest.fixture(scope="module")
def page():
    return render_page(rerun(), {"single-6c": examples(), "double-12c": examples(("petals-red", "leaves-red"))})


def pages():
    hostile = 'x" onload="y <b> & {{ 7 }}'
    result = own(hostile, title="</td><script>z</script>")
    return {
        "rerun": render_page(rerun(), {"single-6c": examples()}),
        "own": render_page(own(), {"birds": examples()}),
        "no images": render_page(own(), {}),
        "hostile": render_page(result, {hostile: examples((hostile, "<i>"))}),
    }


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in pages().items()])
def test_every_page_is_valid_and_needs_nothing_from_outside(text):
    tree = parsed(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", re.sub(r"data:[^\"]*", "", text))
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert {e.get("href") for e in tree.iter("a")} <= {f"#{name}" for name in ids}
    assert all(e.get("src").startswith("data:image/webp;base64,") and e.get("alt") for e in tree.iter("img"))
    assert not [e for e in tree.iter() if e.get("onload")]
    levels = [int(e.tag[1]) for e in tree.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert not re.search(r"\b(nan|None|inf)\b", body(text))
    for table in tree.iter("table"):  # every row fills the table
        heads = len(list(table.find("thead").iter("th")))
        spanned = 0
        for row in table.iter("tr"):
            cells = [e for e in row if e.tag in ("th", "td")]
            assert sum(int(e.get("colspan", 1)) for e in cells) + (spanned > 0) == heads
            spanned = max([spanned, *(int(e.get("rowspan", 1)) for e in cells)]) - 1


def test_a_strict_parser_would_see_a_mistake(page):
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(page.replace("</section>", "", 1))


def test_the_table_has_the_order_and_the_numbers(page):
    rows = rows_of(page, "Area under the IoU curve on single-6c")
    assert list(rows) == [
        "vebi",
        "gradient",
        "saturation",
        "Grad-CAM (first)",
        "Grad-CAM with the stride fix",
        "marking the whole image",
    ]
    assert rows["vebi"] == ["50.0 ± 2.8", "22.5 ± 0.8"]
    assert rows["Grad-CAM (first)"] == ["40.0 ± 2.8", "17.5 ± 0.2", "1.25 (1.20 to 1.30)"]
    assert rows["marking the whole image"] == ["11.3"]
    after = rows_of(page, "Area under the IoU curve after one transform on double-12c")
    assert list(after)[:2] == ["Grad-CAM with the stride fix", "vebi"]
    assert after["vebi"] == ["60.0 ± 2.8", "50.0"]
    pointing = rows_of(page, "Grid pointing on single-6c")
    assert next(iter(pointing)) == "Grad-CAM (first)"
    assert pointing["chance"] == ["25.0"]


def test_dots_lie_where_the_scores_are(page):
    (table,) = [e for e in parsed(page).iter("table") if e.get("aria-label") == "Area under the IoU curve on single-6c"]
    first = next(row for row in table.find("tbody").iter("tr") if row.get("class") == "ours")
    drawn = next(e for e in first.iter("td")).find("svg")
    assert drawn.find("circle").get("cx") == "83.33%"  # 50 of 60: with the deviation 52.8
    known = next(e for e in drawn.iter("line") if e.get("class") == "known")
    assert known.get("x1") == "37.50%"
    whisker = next(e for e in drawn.iter("line") if e.get("class") == "whisker")
    assert (whisker.get("x1"), whisker.get("x2")) == ("78.62%", "88.05%")


def test_maps_without_a_network_have_a_mark_of_their_own(page):
    (table,) = [e for e in parsed(page).iter("table") if e.get("aria-label") == "Area under the IoU curve on single-6c"]
    (row,) = [row for row in table.find("tbody").iter("tr") if row.get("class") == "cue"]
    assert words(row.find("th")) == "saturation"
    drawn = row.find("td/svg")
    assert drawn.find("rect").get("x") == "75.00%"  # 45 of 60
    assert drawn.find("circle") is None
    keys = [e for e in parsed(page).iter("ul") if e.get("class") == "key"]
    assert all("without a network" in words(key) for key in keys)
    assert "without a network" not in body(render_page(own(), {}))


def test_nothing_is_shown_without_its_meaning(page):
    content = body(page)
    for text in (*MEANINGS.values(), TRANSFORM, "its features (5): the larger", "networks are resampled", CUES):
        assert re.sub(r"\s+", " ", text) in content
    assert "not comparable one to one" in content
    assert re.search("40 mosaics|20 mosaics .* 20 mosaics", content)
    assert "25 %" in content
    assert "d" * 64 in content
    assert "e" * 64 in content
    assert "python 3.11.7" in content


def test_where_vebi_is_behind_is_on_the_page(page):
    content = body(page)
    assert re.search(r"grid pointing \(chance 25\), Grad-CAM \(first\) \(64\.3\) .* vebi \(40\.0\)", content)
    assert "▲ 61.2" in content
    assert content.count("▲") == 2
    assert "30.0 ▼" in content


def test_examples_and_curves_are_of_the_paper_and_of_vebi(page):
    tree = parsed(page)
    strips = [e for e in tree.iter("div") if e.get("class") == "strip"]
    assert len(strips) == 4
    assert [words(s.find("figure")) for s in strips[:2]] == ["red", "blue"]
    captions = [words(e) for e in strips[0].iter("figcaption")]
    assert captions[1] == "vebi 99.1"  # at threshold 0 it is the whole image: 144 of 1024 pixels
    assert captions[2].startswith("Grad-CAM (first) ")
    assert len(captions) == 3
    charts = [e for e in tree.iter("svg") if e.get("class") == "chart"]
    assert len(charts) == 2
    assert all(len(list(e.iter("polyline"))) == 2 for e in charts)
    assert [words(e) for e in next(e for e in tree.iter("ol") if e.get("class") == "lines")] == [
        "1 vebi",
        "2 Grad-CAM (first)",
    ]


def test_images_of_ones_own():
    content = body(render_page(own(), {"birds": examples()}))
    assert words(parsed(render_page(own(), {})).find("body/header/h1")).endswith(" birds")
    assert "ublished" not in content
    assert "±" not in content
    assert "Sensitivity" not in content
    assert "Grid pointing" not in content
    assert "follow the class?" not in content
    assert "Visual Explanation by Interpretation" in content
    assert re.search(r"vebi has 50\.0 .* 2nd of 5 methods, .*gradient \(55\.0\)", content)
    rows = rows_of(render_page(own(), {}), "Area under the IoU curve on birds")
    assert rows["my own"] == ["45.0", "1.11 (1.06 to 1.16)"]
    assert "vebi" in rows
    assert "Examples" not in body(render_page(own(), {}))


def test_hostile_names_stay_text():
    content = body(pages()["hostile"])
    assert 'x" onload="y <b> & {{ 7 }}' in content
    assert "</td><script>z</script>" in content
    assert "<i>" in content


def test_a_mask_is_outlined_on_any_ground():
    mask = np.zeros((56, 112), bool)
    mask[20:30, 40:60] = True
    for ground in (0, 128, 255):
        drawn = outline_mask(np.full((56, 112, 3), ground, np.uint8), mask)
        assert drawn.shape == (112, 224, 3)
        inside, outside = drawn[42:58, 82:118], drawn[:30]
        assert (inside == ground).all()
        assert (outside == ground).all()
        assert (drawn[40, 90:110] == 255).all()
        assert (drawn[37, 90:110] < 60).all()


def test_the_file_is_whole(tmp_path):
    write_benchmark_page(own(), {"birds": examples()}, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    parsed((tmp_path / "report.html").read_text(encoding="utf-8"))
