"""What is installed is listed, what is missing is named with how to get it."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from cli_support import run, vebi

from vebi.cli import doctor


def without(monkeypatch, package: str) -> None:
    """As if a package were not installed."""

    def version_of(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", version_of)


def test_everything_is_listed():
    findings = json.loads(vebi("doctor", "--json").out)
    assert findings["vebi"] == version("vebi")
    assert findings["parts"].keys() == doctor.PARTS.keys()
    for name in ("torch", "numpy", "pillow", "safetensors", "scipy", "jinja2"):
        assert findings["parts"][name] == {
            "version": version(name),
            "purpose": doctor.PARTS[name].purpose,
            "needed": True,
            "state": "ok",
        }
    assert findings["machine"].keys() == {"python", "system", "threads", "device"}


def test_a_person_sees_the_same():
    outcome = vebi("doctor")
    assert outcome.err == ""
    assert version("torch") in outcome.out
    assert doctor.PARTS["torch"].purpose in outcome.out
    assert "python" in outcome.out


@pytest.mark.parametrize(("package", "extra"), [("mitsuba", "flowers"), ("torchvision", "models"), ("timm", "models")])
def test_an_optional_part_that_is_missing_is_no_failure(monkeypatch, package, extra):
    without(monkeypatch, package)
    part = json.loads(vebi("doctor", "--json").out)["parts"][package]
    assert (part["version"], part["needed"], part["state"]) == (None, False, f"missing: pip install 'vebi[{extra}]'")


def test_a_part_that_cannot_be_imported(monkeypatch):
    """The reason is its own first line, whatever kind of error it raises."""
    monkeypatch.setitem(sys.modules, "timm", None)
    part = json.loads(vebi("doctor", "--json").out)["parts"]["timm"]
    assert part["state"].startswith("cannot be imported (")
    assert "install a version that goes with" in part["state"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_needed_part_that_is_missing_is_a_failure(monkeypatch, options):
    """Everything is listed, and then come the sentence and the exit code."""
    without(monkeypatch, "jinja2")
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    outcome = run("doctor", *options)
    assert outcome.code == 1
    assert outcome.err == "vebi: scipy, jinja2 cannot be used: pip install --force-reinstall vebi\n"
    assert "missing: pip install vebi" in " ".join(outcome.out.split())
    if options:
        parts = json.loads(outcome.out)["parts"]
        assert parts["jinja2"]["state"] == "missing: pip install vebi"
        assert parts["scipy"]["state"].startswith("cannot be imported (")
