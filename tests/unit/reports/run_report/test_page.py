"""The page is valid, needs nothing from outside, and shows what the run holds."""

import base64
import io
import itertools
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace

import html5lib
import numpy as np
import pytest
from PIL import Image
from support import SIZE, ToyNet, interpretation_of

import vebi
from vebi.backprop.graph_audit import Finding
from vebi.data.sources import open_images
from vebi.errors import ImageError, InputError, UsageError, VebiWarning
from vebi.explanation.assessment import Assessment, assess
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.stability import Stability
from vebi.models.preprocess import Preprocess
from vebi.reports.html import inline
from vebi.reports.run_report import feature_cards
from vebi.reports.run_report.class_sections import LIGHT, anchor
from vebi.reports.run_report.page import render, write_report


@pytest.fixture(scope="module")
def toy_run(toy_module, squares, tmp_path_factory):
    """A run on squares of which some lie in the wrong folder, so that there are mistakes."""
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names, "net.py:toy")
    interpretation = vebi.interpret(toy, squares, mu=1, out=tmp_path_factory.mktemp("run"))
    images = tmp_path_factory.mktemp("others")
    for folder, source in (("red", "red"), ("green", "green"), ("blue", "red")):
        (images / folder).mkdir()
        for path in sorted((squares / source).iterdir())[:5]:
            (images / folder / path.name).symlink_to(path)
    return interpretation, images


@pytest.fixture(scope="module")
def page(toy_run, tmp_path_factory):
    interpretation, images = toy_run
    path = tmp_path_factory.mktemp("page") / "new" / "report.html"
    assessment = write_report(interpretation, path, images=images, title="Squares <&>")
    return interpretation, assessment, path.read_text()


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
    assert images
    assert all(e.get("src").startswith("data:image/webp;base64,") and e.get("alt") for e in images)
    for e in images:  # what is said of an image is true of it
        with Image.open(io.BytesIO(base64.b64decode(e.get("src").partition(",")[2]))) as image:
            assert image.size == (int(e.get("width")), int(e.get("height")))
    levels = [int(e.tag[1]) for e in tree.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_a_strict_parser_would_see_a_mistake(page):
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(page[2].replace("</section>", "", 1))


def test_every_class_and_feature_is_on_the_page(page):
    interpretation, _, text = page
    said, names = words(text), interpretation.class_names
    assert "Squares <&>" in said
    assert "Squares &lt;&amp;&gt;" in text
    for name in names:
        for feature, weight in interpretation.select_features(name):
            share = weight / sum(w for _, w in interpretation.select_features(name))
            assert str(feature) in said
            assert share < LIGHT or f"{feature}, weight {weight:.3g}" in said
    users = Counter(feature for name in names for feature, _ in interpretation.select_features(name))
    assert ("also selected for" in said) == (max(users.values()) > 1)
    alike = interpretation.exemplars[0].consistency
    assert f"consistency {alike:.2f}" in said
    held_out = interpretation.mu_path.fit_fidelity
    assert f"fidelity {100 * held_out.mean():.1f} ± {100 * held_out.std(ddof=1) / 5**0.5:.1f} %: the share" in said
    assert "strongest on red" in said
    assert "net.py" not in said
    assert "toy; 20 features in 2 layers" in said
    assert interpretation.settings.model.sha256 in said
    assert "mean 0.5 0.5 0.5" in said


def test_right_and_wrong_examples_are_told_apart(page):
    _, assessment, text = page
    said = words(text)
    assert assessment.accuracy == pytest.approx(10 / 15)
    assert "other images: 15; the network is correct on 66.7 % of them" in said
    assert "red, correctly" in said
    assert "green, correctly" in said
    assert re.search("Predicted red, [a-z ]*blue", said)
    assert "mistakes are not known" not in said
    assert "It makes no mistake" not in said
    assert "1 of 5 mistakes" in said
    assert re.search(r"blue [a-z ]*red \(5\)", said)
    first = [e.contribution for e in assessment.typical[0].explanation.evidence]
    assert f"{100 * first[0] / sum(first):.0f} % of this evidence" in said
    (mistake,) = assessment.mistakes
    assert mistake.true_class_explanation.target == "blue"
    for target, explanation in (("red", mistake.explanation), ("blue", mistake.true_class_explanation)):
        total = sum(e.contribution for e in explanation.evidence)
        assert re.search(rf"For {target}, [a-z ]*: evidence {total:.3f}", said)


def test_without_mistakes_labels_or_masks(toy_run, squares):
    interpretation, _ = toy_run
    assessment = assess(interpretation, open_images(squares, interpretation.class_names))
    text = render(interpretation, assessment, title="x", same_images=True)
    said = words(text)
    assert "It makes no mistake on these images" in said
    assert "the same images: 72" in said
    assert 'id="scores"' not in text
    nothing = dict.fromkeys(interpretation.class_names, 0)
    unlabelled = replace(assessment, labelled=nothing, correct=nothing)
    assert "mistakes are not known" in words(render(interpretation, unlabelled, title="x"))
    silent = replace(assessment.typical[0].explanation, evidence=())
    example = replace(assessment.typical[0], explanation=silent)
    said = words(render(interpretation, replace(assessment, typical=(example,)), title="x"))
    assert re.search("None of [a-z ]* of blue speaks for it here", said)
    assert "correct on none" in words(render(interpretation, replace(assessment, typical=()), title="x"))


def test_what_no_rule_covers_is_said(toy_run, squares):
    interpretation, _ = toy_run
    assessment = assess(interpretation, open_images(squares, interpretation.class_names))
    assert "Not covered by the backprop rule" not in words(render(interpretation, assessment, title="x"))
    audit = (Finding("inner.2", "clamp", "plain", False, 2), Finding("relu", "relu", "rule", True, 1))
    explanation = replace(assessment.typical[0].explanation, audit=audit)
    example = replace(assessment.typical[0], explanation=explanation)
    said = words(render(interpretation, replace(assessment, typical=(example,)), title="x"))
    assert re.search(r"Not covered by the backprop rule: [a-z ]* clamp in inner\.2, 2 times\.", said)


def test_scores_and_notes(toy_run, squares):
    interpretation, _ = toy_run
    assessment = assess(interpretation, open_images(squares, interpretation.class_names))
    assessment = replace(assessment, scores={"one": 12.345, "two": 6.7}, scored=9)
    diagnostics = replace(interpretation.diagnostics, notes=("something <was> odd",))
    said = words(render(replace(interpretation, diagnostics=diagnostics), assessment, title="x"))
    assert "For 9 of the images" in said
    assert "one 12.3" in said
    assert "two 6.7" in said
    assert "something <was> odd." in said


def test_only_the_classes_asked_for(toy_run, tmp_path):
    interpretation, images = toy_run
    write_report(interpretation, tmp_path / "x.html", images=images, class_names=["red"])
    text = (tmp_path / "x.html").read_text()
    assert class_headings(text) == ["red"]
    assert "1 of 3 classes" in words(text)
    with pytest.raises(UsageError, match=r"'pink'.*blue, green, red"):
        write_report(interpretation, tmp_path / "y.html", images=images, class_names=["pink"])
    assert not (tmp_path / "y.html").exists()


def test_by_default_examples_come_from_the_images_of_the_fit(toy_run, tmp_path):
    interpretation, _ = toy_run
    assert write_report(interpretation, tmp_path / "x.html").looked_at == 72
    assert "What toy has learned" in (tmp_path / "x.html").read_text()

    def with_folder(folder):
        settings = interpretation.settings
        return replace(interpretation, settings=replace(settings, data=replace(settings.data, folder=folder)))

    with pytest.raises(InputError, match="gone"):
        write_report(with_folder(str(tmp_path / "gone")), tmp_path / "y.html")
    with pytest.raises(UsageError, match="images"):
        write_report(with_folder(None), tmp_path / "y.html")
    with pytest.raises(UsageError, match=f"{tmp_path} is a folder"):
        write_report(interpretation, tmp_path)


@pytest.mark.parametrize("change", ["another image", "one more", "one less", "another class"])
def test_images_that_changed_since_the_fit_are_no_longer_the_same(toy, squares, tmp_path, change):
    folder = tmp_path / "images"
    shutil.copytree(squares, folder)
    found = vebi.interpret(toy, folder, mu=1)
    write_report(found, tmp_path / "before.html")
    assert "the same images: 72" in words((tmp_path / "before.html").read_text())
    write_report(found, tmp_path / "before.html", images=folder)
    assert "the same images: 72" in words((tmp_path / "before.html").read_text())
    first = folder / "red" / "00.png"
    if change == "another image":
        Image.new("RGB", (SIZE, SIZE), "red").save(first)
    elif change == "one more":
        shutil.copy(first, folder / "red" / "99.png")
    elif change == "one less":
        first.unlink()
    else:
        first.rename(folder / "blue" / "99.png")
    with pytest.warns(VebiWarning, match=f"^the images in {folder} are no longer those of the fit: the report shows"):
        write_report(found, tmp_path / "after.html")
    assert "other images: 7" in words((tmp_path / "after.html").read_text())


def test_a_damaged_image_is_left_out_unless_strict(toy_run, squares, tmp_path):
    interpretation, _ = toy_run
    damaged = tmp_path / "red" / "bad.png"
    damaged.parent.mkdir()
    damaged.write_bytes((squares / "red" / "01.png").read_bytes()[:200])
    images = [squares / "red" / "00.png", damaged]
    with pytest.warns(VebiWarning, match=r"1 of 2 .*bad\.png"):
        assert write_report(interpretation, tmp_path / "x.html", images=images).looked_at == 1
    with pytest.raises(ImageError, match=r"bad\.png"):
        write_report(interpretation, tmp_path / "y.html", images=images, strict=True)
    assert not (tmp_path / "y.html").exists()


def test_class_names_of_any_kind_make_a_valid_page(toy_run, squares):
    interpretation, _ = toy_run
    odd = ('a" onload="x', "a <b> &c", "ä/ö ..")
    renamed = replace(
        interpretation,
        class_names=odd,
        classifier=replace(interpretation.classifier, class_names=odd),
        diagnostics=replace(interpretation.diagnostics, images_per_class=dict.fromkeys(odd, 24)),
    )
    paths = sorted(squares.rglob("*.png"))[::9]
    text = render(renamed, assess(renamed, open_images(paths, odd)), title="x")
    assert class_headings(text) == list(odd)
    assert not [e for e in parsed(text).iter() if e.get("onload")]
    assert len({anchor(name, i) for i, name in enumerate(odd)}) == 3


def test_small_images_keep_every_pixel_and_large_ones_are_scaled_down():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    small = inline(pixels, 224)
    with Image.open(io.BytesIO(base64.b64decode(small.src.partition(",")[2]))) as image:
        assert (np.asarray(image.convert("RGB")) == pixels).all()
    assert small.small
    assert (small.width, small.height) == (40, 30)
    large = inline(np.zeros((300, 600, 3), np.uint8), 224)
    assert (large.width, large.height, large.small) == (224, 112, False)


def synthetic(toy_module, n_classes, n_features):
    """An interpretation of that size, in which every class selects 8 features and more along mu, and its assessment."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {j}" for j in range(n_classes))
    classifier = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), names)
    features = tuple(vebi.Feature("relu", channel) for channel in range(n_features))
    selection = (5 * np.arange(n_classes)[:, None] + np.arange(10)) % n_features
    weights = np.zeros((n_classes, n_features))
    np.put_along_axis(weights, selection[:, :8], rng.uniform(0.5, 1, (n_classes, 8)), axis=1)
    mus = np.geomspace(0.5, 20, 6)
    path = MuPath(
        mus=mus,
        candidates=np.ones(6, bool),
        r2=rng.random((5, 6, n_classes)),
        fidelity=rng.random((5, 6)),
        class_index=np.repeat(np.arange(n_classes), 10),
        columns=selection[:, :10].ravel(),
        entry_mu=rng.random(10 * n_classes),
        weights=rng.random((10 * n_classes, 6)),
        fit_r2=rng.random((5, n_classes)),
        fit_fidelity=rng.random(5),
        end_mu=np.full(n_classes, np.inf),
    )
    pixels = rng.integers(0, 256, (n_features, 3, 4, 4, 3), dtype=np.uint8)
    exemplars = tuple(
        Exemplar(
            feature=feature,
            positions=(4, 4),
            receptive_field=(4, 4),
            count=2,
            predicted={names[0]: 2},
            image_ids=("a.png", "b.png"),
            spotlights=tuple(map(EncodedImage.encode, images[1:])),
            average=EncodedImage.encode(images[0]),
            contrast=10.0,
            consistency=0.5,
        )
        for feature, images in zip(features, pixels, strict=True)
    )
    interpretation = interpretation_of(classifier, [("relu", n_features)], features, range(n_features), weights)
    stability = Stability(50, rng.random(weights.shape), rng.random(weights.shape), (((0, 0.97),),) * n_features)
    nothing = dict.fromkeys(names, 0)
    assessment = Assessment(1, 1, nothing, nothing, (), (), (), {}, 0)
    return replace(interpretation, exemplars=exemplars, mu_path=path, stability=stability), assessment


def calls_of(function):
    """How many functions it calls, those of C included."""
    count = itertools.count()
    before = sys.getprofile()
    sys.setprofile(lambda _, event, __: next(count) if event in ("call", "c_call") else None)
    try:
        function()
    finally:
        sys.setprofile(before)
    return next(count)


def test_the_work_for_a_page_grows_with_its_cards(toy_module):
    """With twice the classes and the features there are twice the cards; none may look through all the others."""

    def work(n_classes, n_features):
        interpretation, assessment = synthetic(toy_module, n_classes, n_features)
        return calls_of(lambda: render(interpretation, assessment, title="x", class_names=interpretation.class_names))

    work(4, 20)  # imports, and what is kept from a first call
    once, twice, fourfold = work(20, 100), work(40, 200), work(80, 400)
    # what there is for a page of any size cancels: the second doubling adds twice as much as the first
    assert fourfold - twice == pytest.approx(2 * (twice - once), rel=0.01)


def test_every_image_is_encoded_once_and_cards_name_the_other_classes(toy_module, monkeypatch):
    interpretation, assessment = synthetic(toy_module, 12, 30)
    encoded = []
    monkeypatch.setattr(feature_cards, "inline", lambda pixels, most: encoded.append(1) or inline(pixels, most))
    text = render(interpretation, assessment, title="x")
    assert len(encoded) == 4 * (interpretation.weights != 0).any(axis=0).sum()  # average, small image, two spotlights
    cards = [
        (name, feature, re.search(r"also selected for ([^<]*)<br>", card))
        for name, section in zip(interpretation.class_names, text.split('<section id="class-')[1:], strict=True)
        for card in section.split("<article")[1:]
        for feature in re.findall(r"(relu:<wbr>\d+), weight", card)
    ]
    assert len(cards) == 12 * 8
    for name, feature, others in cards:
        weights = interpretation.weights[:, int(feature.rpartition(">")[2])]
        users = [interpretation.class_names[j] for j in np.argsort(-weights, kind="stable") if weights[j] != 0]
        users.remove(name)
        expected = ", ".join(users[:4]) + (f" and {len(users) - 4} more" if len(users) > 4 else "")
        assert (others[1] if others else "") == expected


def test_a_number_of_features_has_a_card_each_and_a_mu_for_every_class(toy_run):
    interpretation, images = toy_run
    weights = np.where(interpretation.weights > 0, interpretation.weights, 0)
    weights[0, weights[0].argmax()] *= 1000  # the others have next to nothing of the weight of the first class
    settings = replace(interpretation.settings, mu=None, features_per_class=5)
    counted = replace(interpretation, weights=weights, mus=(0.125, 2.0, 3.0), settings=settings)
    bounded = replace(interpretation, weights=weights)
    assessment = assess(interpretation, open_images(images, interpretation.class_names))
    said, before = (words(render(run, assessment, title="x")) for run in (counted, bounded))
    n_selected = int((weights[0] != 0).sum())
    assert n_selected > 1
    assert "With less than 3 % of the weight each" in before
    assert "With less than 3 % of the weight each" not in said
    assert "with mu = 0.125" in said
    assert "mu = 0.125" not in before


def test_where_crops_are_hardly_alike_spotlights_lead(toy_run):
    interpretation, images = toy_run
    assessment = assess(interpretation, open_images(images, interpretation.class_names))

    def page_of(consistency, **changed):
        exemplars = tuple(replace(e, consistency=consistency, **changed) for e in interpretation.exemplars)
        return render(replace(interpretation, exemplars=exemplars), assessment, title="x")

    fog, clear = page_of(0.1), page_of(0.7)
    assert 'class="card loose"' in fog
    assert 'class="card loose"' not in clear
    assert "hardly alike" in words(fog)
    assert "nearly the same" in words(clear)
    glance = r'alt="Average image of [^"]*of the weight"'
    assert re.search(glance, clear)
    assert not re.search(glance, fog)
    assert 'class="card loose"' not in page_of(0.1, spotlights=(), image_ids=())  # runs of earlier versions have none


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"positions": (1, 1)}, "one number for the whole image, without positions"),
        ({"positions": (8, 8), "receptive_field": (16, 16)}, "a colour, an edge or a texture: it sees no more"),
        ({"positions": (8, 8), "receptive_field": (17, 17)}, ""),
    ],
)
def test_features_that_see_little_are_named_as_what_they_are(toy_run, changed, said):
    interpretation, images = toy_run
    assessment = assess(interpretation, open_images(images, interpretation.class_names))
    exemplars = tuple(replace(e, **changed) for e in interpretation.exemplars)
    text = words(render(replace(interpretation, exemplars=exemplars), assessment, title="x"))
    kinds = ("one number for the whole image, without positions", "a colour, an edge or a texture: it sees no more")
    assert [kind in text for kind in kinds] == [kind == said for kind in kinds]


def test_where_the_evidence_of_a_class_comes_from(toy_run):
    interpretation, images = toy_run
    assessment = assess(interpretation, open_images(images, interpretation.class_names))
    assert len(interpretation.layers) == 2
    shares = np.array([[0.25, 0.75], [0.0, 0.0], [np.nan, np.nan]])  # of blue, green, red
    said = words(render(replace(interpretation, layer_shares=shares), assessment, title="x"))
    (first, _), (last, _) = interpretation.layers
    assert (
        f"In images of blue its evidence comes from {last} (layer 2 of 2): 75 %, {first} (layer 1 of 2): 25 %." in said
    )
    assert "From the first half of the layers: 25 %." in said
    assert "In images of green" not in said  # nothing contributes
    assert "In images of red" not in said  # it was not recorded
