"""A page as tests read it: its tree, which has to be valid, and its words."""

import re

import html5lib


def parsed(text):
    """The tree of a page; raises where it is not valid HTML."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    for element in tree.iter():
        if isinstance(element.tag, str):  # not a comment
            element.tag = element.tag.rpartition("}")[2]
    return tree


def words(element):
    return re.sub(r"\s+", " ", " ".join(element.itertext())).strip()


def body(text):
    return words(parsed(text).find("body"))
