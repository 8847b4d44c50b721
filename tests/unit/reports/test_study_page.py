"""The page is valid, needs nothing from outside, and says in words and pictures what the run holds."""

import base64
import io
import re
from dataclasses import replace

import html5lib
import numpy as np
import pytest
from PIL import Image
from support import SIZE, ToyNet

import vebi
from vebi.backprop.graph_audit import Finding
from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError
from vebi.explanation.assessment import survey
from vebi.models.preprocess import Preprocess
from vebi.reports.study_page import LIGHT, anchor, inline, render, write_report


@pytest.fixture(scope="module")
def toy_run(toy_module, squares, tmp_path_factory):
    """A run on squares of which some lie in the wrong folder, so that there are mistakes."""
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names, "net.py:toy")
    found = vebi.interpret(toy, squares, mu=1, out=tmp_path_factory.mktemp("run"))
    pictures = tmp_path_factory.mktemp("others")
    for folder, source in (("red", "red"), ("green", "green"), ("blue", "red")):
        (pictures / folder).mkdir()
        for path in sorted((squares / source).iterdir())[:5]:
            (pictures / folder / path.name).symlink_to(path)
    return found, pictures


@pytest.fixture(scope="module")
def page(toy_run, tmp_path_factory):
    found, pictures = toy_run
    path = tmp_path_factory.mktemp("page") / "new" / "report.html"
    seen = write_report(found, path, images=pictures, title="Squares <&>")
    return found, seen, path.read_text()


def parsed(text):
    """The tree of a page; raises where it is not valid HTML."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(text):
    bare = re.sub(r"<style>.*?</style>|<wbr>", "", text, flags=re.S)
    return re.sub(r"\s+", " ", " ".join(parsed(bare).itertext()))


def class_headings(text):
    return [e.find("h3").text for e in parsed(text).iter("section") if e.get("id")]


def test_the_page_is_valid_and_needs_nothing_from_outside(page):
    text = page[2]
    tree = parsed(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", re.sub(r"data:[^\"]*", "", text))
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert {e.get("href") for e in tree.iter("a")} <= {f"#{name}" for name in ids}
    images = list(tree.iter("img"))
    assert images and all(e.get("src").startswith("data:image/webp;base64,") and e.get("alt") for e in images)
    for e in images:  # what is said of a picture is true of it
        with Image.open(io.BytesIO(base64.b64decode(e.get("src").partition(",")[2]))) as image:
            assert image.size == (int(e.get("width")), int(e.get("height")))
    levels = [int(e.tag[1]) for e in tree.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in zip(levels, levels[1:], strict=False))


def test_a_strict_parser_would_see_a_mistake(page):
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(page[2].replace("</section>", "", 1))


def test_every_class_and_feature_is_on_the_page(page):
    found, _, text = page
    said = words(text)
    assert "Squares <&>" in said and "Squares &lt;&amp;&gt;" in text
    for name in found.classes:
        for feature, weight in found.selected(name):
            share = weight / sum(w for _, w in found.selected(name))
            assert str(feature) in said and (share < LIGHT or f"{feature}, weight {weight:.2f}" in said)
    shared = [f for f in found.features if sum(f in dict(found.selected(n)) for n in found.classes) > 1]
    assert ("also speaks for" in said) == bool(shared)
    alike = found.exemplars[0].consistency
    assert f"({alike:.2f})" in said
    assert f"guessed on {100 * found.provenance['agreement']:.1f} %".replace("100.0", "100") in said
    assert "strongest on red" in said
    assert "net.py" not in said and "toy; 20 features in 2 layers" in said
    assert found.provenance["settings"]["model"]["sha256"] in said and "mean 0.5 0.5 0.5" in said


def test_right_and_wrong_examples_are_told_apart(page):
    _, seen, text = page
    said = words(text)
    assert seen.accuracy == pytest.approx(10 / 15)
    assert "other pictures: 15; the network is correct on 66.7 % of them" in said
    assert "red, correctly" in said and "green, correctly" in said and "Predicted red, in truth blue" in said
    assert "Nobody has said" not in said and "It makes no mistake" not in said
    assert "1 of 5 mistakes" in said and "blue taken for red (5)" in said
    first = [e.contribution for e in seen.typical[0].explanation.evidence]
    assert f"{100 * first[0] / sum(first):.0f} % of this evidence" in said
    (mistake,) = seen.mistakes
    assert mistake.for_truth.target == "blue" and "For blue, the truth: evidence" in said
    assert f"For red: evidence {sum(e.contribution for e in mistake.explanation.evidence):.3f}" in said


def test_without_mistakes_labels_or_masks(toy_run, squares):
    found, _ = toy_run
    seen = survey(found, open_images(squares, found.classes))
    said = words(render(found, seen, title="x", of_the_fit=True))
    assert "It makes no mistake on these pictures" in said and "the same pictures: 72" in said
    assert "meet the truth" not in said
    nobody = replace(seen, labelled=dict.fromkeys(found.classes, 0), right=dict.fromkeys(found.classes, 0))
    assert "mistakes cannot be told" in words(render(found, nobody, title="x"))
    silent = replace(seen.typical[0].explanation, evidence=())
    said = words(render(found, replace(seen, typical=(replace(seen.typical[0], explanation=silent),)), title="x"))
    assert "None of the chosen features of blue fired here" in said
    assert "correct on none" in words(render(found, replace(seen, typical=()), title="x"))


def test_what_no_rule_covers_is_said(toy_run, squares):
    found, _ = toy_run
    seen = survey(found, open_images(squares, found.classes))
    assert "Not covered by the backward rule" not in words(render(found, seen, title="x"))
    passed = (Finding("inner.2", "clamp", "plain", False, 2), Finding("relu", "relu", "rule", True, 1))
    through = replace(seen.typical[0], explanation=replace(seen.typical[0].explanation, audit=passed))
    said = words(render(found, replace(seen, typical=(through,)), title="x"))
    assert "Not covered by the backward rule: these heatmaps passed through clamp in inner.2, 2 times." in said


def test_scores_and_notes(toy_run, squares):
    found, _ = toy_run
    seen = replace(survey(found, open_images(squares, found.classes)), scores={"one": 12.345, "two": 6.7}, scored=9)
    noted = replace(found, provenance={**found.provenance, "notes": ["something <was> odd"]})
    said = words(render(noted, seen, title="x"))
    assert "For 9 of the pictures" in said and "one 12.3" in said and "two 6.7" in said
    assert "something <was> odd." in said


def test_only_the_classes_asked_for(toy_run, tmp_path):
    found, pictures = toy_run
    write_report(found, tmp_path / "x.html", images=pictures, classes=["red"])
    text = (tmp_path / "x.html").read_text()
    assert class_headings(text) == ["red"] and "1 of 3 classes are shown" in words(text)
    with pytest.raises(UsageError, match="no class 'pink': the model's classes are blue, green, red"):
        write_report(found, tmp_path / "y.html", images=pictures, classes=["pink"])
    assert not (tmp_path / "y.html").exists()


def test_by_default_examples_come_from_the_pictures_of_the_fit(toy_run, squares, tmp_path):
    found, _ = toy_run
    assert write_report(found, tmp_path / "x.html").looked_at == 72
    assert "What toy has learned" in (tmp_path / "x.html").read_text()
    settings = found.provenance["settings"]

    def with_place(place):
        data = {**settings["data"], "place": place}
        return replace(found, provenance={**found.provenance, "settings": {**settings, "data": data}})

    with pytest.raises(InputError, match="not in .*gone any more: say which"):
        write_report(with_place(str(tmp_path / "gone")), tmp_path / "y.html")
    with pytest.raises(UsageError, match="does not know where its pictures are"):
        write_report(with_place(None), tmp_path / "y.html")
    with pytest.raises(UsageError, match="is a folder: give the name of a file"):
        write_report(found, tmp_path)


def test_class_names_of_any_kind_make_a_valid_page(toy_run, squares):
    found, _ = toy_run
    odd = ('a" onload="x', "a <b> &c", "ä/ö ..")
    classifier = replace(found.classifier, class_names=odd)
    provenance = {**found.provenance, "images_per_class": dict.fromkeys(odd, 24)}
    renamed = replace(found, classes=odd, classifier=classifier, provenance=provenance)
    paths = sorted(squares.rglob("*.png"))[::9]
    text = render(renamed, survey(renamed, open_images(paths, odd)), title="x")
    assert class_headings(text) == list(odd)
    assert not [e for e in parsed(text).iter() if e.get("onload")]
    assert len({anchor(name, i) for i, name in enumerate(odd)}) == 3


def test_small_pictures_keep_every_pixel_and_large_ones_are_scaled_down():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    held = inline(pixels, 224)
    with Image.open(io.BytesIO(base64.b64decode(held["src"].partition(",")[2]))) as image:
        assert (np.asarray(image.convert("RGB")) == pixels).all()
    assert held["small"] and (held["width"], held["height"]) == (40, 30)
    large = inline(np.zeros((300, 600, 3), np.uint8), 224)
    assert (large["width"], large["height"], large["small"]) == (224, 112, False)
