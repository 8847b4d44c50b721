"""Imports point down only, lazy ones inside functions included."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import vebi

ROOT = Path(vebi.__file__).parent
#: From top to bottom; rooms of a row may import each other in one direction.
ROWS = [
    "cli",
    "demo",
    "reports benchmark",
    "methods intervention",
    "explanation",
    "interpretation",
    "backprop activations datasets",
    "models data",
    "lasso metrics",
    "errors files outputs progress provenance",
]
ROW = {room: i for i, row in enumerate(ROWS) for room in row.split()}


def modules():
    """Dotted name below vebi -> path."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and parts != ("__main__",):
            found[".".join(parts)] = path
    return found


def imports(name, path, known):
    """The modules below vebi that a module imports, wherever it does."""
    package = ["vebi", *name.split(".")] if path.name == "__init__.py" else ["vebi", *name.split(".")[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            places = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            places = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in places:
            inside = module.removeprefix("vebi.") if module.startswith("vebi.") else ""
            while inside and inside not in known:  # a name in a module, not a module
                inside = inside.rpartition(".")[0]
            found |= {inside} - {""}
    return found - {name}


KNOWN = modules()
GRAPH = {name: imports(name, path, KNOWN) for name, path in KNOWN.items()}


def room(name):
    return name.split(".")[0]


def test_every_room_is_in_a_row_and_no_row_names_another():
    assert {room(name) for name in KNOWN} == set(ROW)


def test_imports_point_down():
    upward = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if ROW[room(other)] < ROW[room(name)]
    ]
    assert not upward


def test_no_cycles():
    try:
        list(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_rooms_of_a_row_do_not_go_round_in_circles():
    rooms = {}
    for name, others in GRAPH.items():
        rooms.setdefault(room(name), set()).update(room(other) for other in others if room(other) != room(name))
    list(TopologicalSorter(rooms).static_order())


def test_arithmetic_knows_nothing_of_models():
    for name in ("errors", "provenance"):
        assert not GRAPH[name]
    assert GRAPH["backprop.heatmaps"] <= {"errors"}
    for arithmetic in ("lasso", "metrics"):
        inside = {name for name in GRAPH if room(name) == arithmetic}
        for name in inside:
            assert GRAPH[name] <= {"errors"} | inside, name


def test_the_walk_sees_lazy_and_relative_imports(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "import vebi.low\nfrom vebi import high\nfrom . import beside\nfrom ..errors import VebiError\n"
        "def f():\n    from vebi.other.page import render\n"
    )
    known = dict.fromkeys(["low", "high", "room.beside", "errors", "other.page"], path)
    assert imports("room.x", path, known) == set(known)


def test_importing_vebi_loads_nothing_heavy():
    code = "import sys, vebi; dir(vebi); print([m for m in ('torch', 'numpy', 'sklearn', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("line", ["--help", "fit --help", "report --help", "--version", "fit a b --out c --mu x"])
def test_help_and_usage_load_nothing_heavy(line):
    code = (
        "import sys\ntry:\n    from vebi.cli.main import main\n    main()\n"
        "finally:\n    print([m for m in ('torch', 'numpy', 'sklearn', 'PIL', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_everything_exported_exists():
    for name in vebi.__all__:
        assert getattr(vebi, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = vebi.nonsense


#: Lines of code of a file at most, of half of the files at most, and of the body of a function at most.
FILE, HALF, BODY = 300, 120, 40


def test_files_are_small():
    lines = {name: len(path.read_text().splitlines()) for name, path in KNOWN.items()}
    assert {name: n for name, n in lines.items() if n > FILE} == {}
    assert sorted(lines.values())[len(lines) // 2] <= HALF


def bodies(tree, prefix=""):
    """Dotted name and lines of the body, without its docstring, of every function."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from bodies(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            rest = node.body[ast.get_docstring(node) is not None :]
            yield f"{prefix}{node.name}", node.end_lineno - rest[0].lineno + 1 if rest else 0


def test_functions_are_small():
    long = {
        f"{name}.{function}": lines
        for name, path in KNOWN.items()
        for function, lines in bodies(ast.parse(path.read_text()))
        if lines > BODY
    }
    assert long == {}


#: Pairs of rooms of which one imports the other, at most.
EDGES = 110


def test_rooms_know_few_others():
    edges = {(room(name), room(other)) for name, others in GRAPH.items() for other in others}
    assert len({pair for pair in edges if pair[0] != pair[1]}) <= EDGES
