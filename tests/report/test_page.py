import re
from html.parser import HTMLParser

import pytest

import vebi
from vebi.report.page import render, write

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Tags must close in order; every image must be inlined and described; nothing may point outside."""

    def __init__(self):
        super().__init__()
        self.open, self.images, self.addresses = [], 0, []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images += 1
            assert values["src"].startswith("data:image/png;base64,") and values["alt"]
        self.addresses += [v for k, v in attributes if k in ("href", "src") and not v.startswith("data:")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(toy_module, squares):
    from vebi.classifier import Classifier, Preprocess

    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    interpretation = vebi.interpret(toy, squares, mu=1)
    explanations = vebi.explain(interpretation, [squares / "red" / "00.png", squares / "blue" / "01.png"])
    text = render(interpretation, explanations, title="Squares <&>", facts={"data": "squares"}, scores={"vebi": 12.34})
    return interpretation, explanations, text


def test_the_page_is_whole_and_needs_nothing_from_outside(page):
    interpretation, explanations, text = page
    checker = Checker()
    checker.feed(text)
    assert not checker.open and not checker.addresses
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    assert checker.images >= len(interpretation.features) + sum(len(e.evidence) + 2 for e in explanations)


def test_the_page_names_classes_features_and_scores_and_escapes_titles(page):
    interpretation, _, text = page
    assert "Squares &lt;&amp;&gt;" in text and "Squares <&>" not in text
    assert "12.3" in text
    for name in interpretation.classes:
        assert all(f"<b>{feature}</b>" in text for feature, _ in interpretation.selected(name))


def test_a_page_is_written_whole(tmp_path):
    write(tmp_path / "page.html", "ä")
    assert (tmp_path / "page.html").read_bytes() == "ä".encode()
    assert len(list(tmp_path.iterdir())) == 1
