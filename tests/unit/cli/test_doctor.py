"""What is installed is said, what is missing is named with how to get it."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from cli_support import run, vebi

from vebi.cli import doctor


def without(monkeypatch, package: str) -> None:
    """As if a package were not installed."""

    def found(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", found)


def test_everything_is_said():
    told = json.loads(vebi("doctor", "--json").out)
    assert told["vebi"] == version("vebi") and told["parts"].keys() == doctor.PARTS.keys()
    for name in ("torch", "numpy", "pillow", "safetensors", "scipy", "jinja2"):
        assert told["parts"][name] == dict(
            version=version(name), purpose=told["parts"][name]["purpose"], needed=True, state="ok"
        )
    assert told["machine"].keys() == {"python", "system", "threads", "device"}


def test_a_person_sees_the_same():
    told = vebi("doctor")
    assert told.err == "" and version("torch") in told.out and "the networks" in told.out and "python" in told.out


@pytest.mark.parametrize(("package", "extra"), [("mitsuba", "flowers"), ("torchvision", "models"), ("timm", "models")])
def test_an_optional_part_that_is_missing_is_no_failure(monkeypatch, package, extra):
    without(monkeypatch, package)
    part = json.loads(vebi("doctor", "--json").out)["parts"][package]
    assert (part["version"], part["needed"], part["state"]) == (None, False, f"missing: pip install 'vebi[{extra}]'")


def test_a_part_that_cannot_be_imported(monkeypatch):
    """The reason is its own first line, whatever kind of error it raises."""
    monkeypatch.setitem(sys.modules, "timm", None)
    part = json.loads(vebi("doctor", "--json").out)["parts"]["timm"]
    assert part["state"].startswith("cannot be imported (") and "install a version that goes with" in part["state"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_needed_part_that_is_missing_is_a_failure(monkeypatch, options):
    """All is said, and then the sentence and the exit code."""
    without(monkeypatch, "jinja2")
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    told = run("doctor", *options)
    assert told.code == 1
    assert told.err == "vebi: scipy, jinja2 cannot be used: pip install --force-reinstall vebi\n"
    assert "missing: pip install vebi" in " ".join(told.out.split())
    if options:
        parts = json.loads(told.out)["parts"]
        assert parts["jinja2"]["state"] == "missing: pip install vebi"
        assert parts["scipy"]["state"].startswith("cannot be imported (")
