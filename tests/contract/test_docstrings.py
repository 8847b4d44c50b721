"""Every public name has a docstring in Google style, with an example that runs."""

import doctest
import importlib
import inspect
import re
import shutil

import numpy as np
import pytest
import torch

import vebi

ROOMS = ("benchmark", "datasets", "datasets.flowers", "intervention", "lasso", "methods", "metrics")
#: Exceptions say it all in a sentence, constants in the comment above them.
WITHOUT_EXAMPLE = {name for name in vebi.__all__ if name.endswith(("Error", "Warning"))}


def public():
    """Dotted name below vebi -> object, of everything that is exported."""
    names = [name for name in vebi.__all__ if name not in ROOMS]
    for room in ROOMS:
        names += [f"{room}.{name}" for name in importlib.import_module(f"vebi.{room}").__all__]
    for name in names:
        thing = vebi
        for part in name.split("."):
            thing = getattr(thing, part)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing


PUBLIC = dict(public())


@pytest.fixture
def desk(tmp_path, squares, masks, toy, interpreted_once, monkeypatch):
    """What an example may use: a model of three classes, its images with masks and an interpretation of it."""
    shutil.copytree(squares, tmp_path / "images")
    shutil.copytree(masks, tmp_path / "masks")
    monkeypatch.chdir(tmp_path)
    return {"vebi": vebi, "np": np, "torch": torch, "classifier": toy, "interpretation": interpreted_once}


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - WITHOUT_EXAMPLE))
def test_the_example_of_a_public_name_runs(name, desk):
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(PUBLIC[name]) or "", desk, name, None, 0)
    assert examples.examples, f"vebi.{name} has no example"
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_argument_of_a_public_name_is_described(name):
    thing = PUBLIC[name]
    text = inspect.getdoc(thing) or ""
    assert text, name
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    arguments = [p for p in inspect.signature(thing).parameters if p not in ("args", "kwargs")]
    heading = r"(?:Args|Attributes):\n" if inspect.isclass(thing) else r"Args:\n"
    described = re.split(heading, text)[-1] if re.search(heading, text) else ""
    missing = [a for a in arguments if not re.search(rf"^\s+\*{{0,2}}{a}(?: \(.*?\))?:", described, re.M)]
    assert not missing or getattr(thing, "_is_protocol", False), f"vebi.{name} does not describe {missing}"
