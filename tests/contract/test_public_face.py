"""What ``import vebi`` offers: each name is one thing whatever was imported before, each option has one default."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

import vebi

ROOMS = ("benchmark", "datasets", "datasets.flowers", "intervention", "lasso", "methods", "metrics")
ROOT = Path(vebi.__file__).parent

SAME_OBJECTS = """
import importlib, pkgutil, sys
import vebi
names = [("vebi", name) for name in vebi.__all__]
for room in sys.argv[1:]:
    names += [(f"vebi.{room}", name) for name in importlib.import_module(f"vebi.{room}").__all__]
first = {key: getattr(importlib.import_module(key[0]), key[1]) for key in names}
for module in pkgutil.walk_packages(vebi.__path__, "vebi."):
    if module.name != "vebi.__main__":
        importlib.import_module(module.name)
changed = [key for key in names if getattr(importlib.import_module(key[0]), key[1]) is not first[key]]
print(len(first), changed)
"""


def test_a_name_is_the_same_object_before_and_after_every_module_is_imported():
    done = subprocess.run([sys.executable, "-c", SAME_OBJECTS, *ROOMS], capture_output=True, text=True, check=True)
    count, _, changed = done.stdout.partition(" ")
    assert int(count) > 60
    assert changed.strip() == "[]"


@pytest.mark.parametrize("package", ["", *ROOMS])
def test_no_name_is_that_of_a_submodule(package):
    module = importlib.import_module(f"vebi.{package}".rstrip("."))
    submodules = {found.name for found in pkgutil.iter_modules(module.__path__)}
    for name in set(module.__all__) & submodules:
        assert inspect.ismodule(getattr(module, name)), f"{module.__name__}.{name} is a submodule, too"


def classes():
    """Every dataclass of vebi, by its dotted name."""
    for module in pkgutil.walk_packages(vebi.__path__, "vebi."):
        if module.name != "vebi.__main__":
            for name, thing in vars(importlib.import_module(module.name)).items():
                if is_dataclass(thing) and isinstance(thing, type) and thing.__module__ == module.name:
                    yield f"{module.name}.{name}", thing


def annotations_of(dotted):
    """The annotations of a class as they are written."""
    module, _, name = dotted.rpartition(".")
    tree = ast.parse(Path(sys.modules[module].__file__).read_text())
    (node,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    return [ast.unparse(line.annotation) for line in node.body if isinstance(line, ast.AnnAssign)]


def test_values_that_hold_arrays_can_be_compared_and_hashed():
    """By identity: numpy has no single answer to whether two arrays are equal, and none to what their hash is."""
    holders = {
        name: thing
        for name, thing in classes()
        if any("ndarray" in a or ("Tensor" in a and "Callable" not in a) for a in annotations_of(name))
    }
    names = {name.rpartition(".")[2] for name in holders}
    assert {"Evidence", "Explanation", "Interpretation", "MuPath", "Solution"} <= names
    for name, thing in holders.items():
        assert thing.__eq__ is object.__eq__, name
        assert thing.__hash__ is object.__hash__, name


def test_results_are_compared_by_identity_and_can_be_keys(interpreted_once, squares):
    one, other = (vebi.explain(interpreted_once, squares / "red" / "00.png") for _ in range(2))
    for a, b in ((one, other), (one.evidence[0], other.evidence[0])):
        assert a == a
        assert a != b
        assert len({a, b}) == 2
    for value in (interpreted_once, interpreted_once.mu_path, interpreted_once.exemplars[0]):
        assert value == value
        assert len({value, value}) == 1


VERBS = (
    "interpret",
    "explain",
    "explain_each",
    "assess",
    "feature_maps",
    "audit_backward",
    "write_report",
    "write_gallery",
)


def test_an_option_has_the_same_default_in_every_verb():
    defaults = {}
    for verb in (*VERBS, "benchmark.benchmark_model", "load_classifier"):
        function = vebi
        for part in verb.split("."):
            function = getattr(function, part)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not parameter.empty:
                defaults.setdefault(name, {}).setdefault(parameter.default, []).append(verb)
    shared = {"batch_size", "strict", "rule", "stride_fix", "max_features", "layers", "progress", "target"}
    assert shared <= set(defaults)
    assert {name: verbs for name, verbs in defaults.items() if len(verbs) > 1} == {}


def test_verbs_spell_their_options():
    for verb in VERBS:
        for parameter in inspect.signature(getattr(vebi, verb)).parameters.values():
            assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL), f"{verb}({parameter})"
            assert parameter.annotation is not parameter.empty, f"{verb}({parameter})"


def test_version_and_module():
    assert vebi.__version__ == version("vebi")
    done = subprocess.run([sys.executable, "-m", "vebi", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == vebi.__version__


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "py.typed").is_file()


def test_parameters_are_described_by_the_fields_of_results():
    """The settings that a fit was asked for hold every option of ``interpret`` that its result depends on."""
    options = set(inspect.signature(vebi.interpret).parameters) - {"classifier", "images", "out", "progress"}
    names = {field.name for field in fields(vebi.FitSettings)} | {field.name for field in fields(vebi.Descriptor)}
    assert options <= names
