"""What the documentation says is what the program does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vebi.cli.main import app
from vebi.reports.benchmark_report.network_table import NetworkTable
from vebi.reports.benchmark_report.result import BenchmarkResult

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def commands(monkeypatch):
    """The module that makes docs/commands.md."""
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr(sys, "argv", ["vebi"])
    monkeypatch.setenv("COLUMNS", "100")
    import commands

    yield commands
    del sys.modules["commands"]


def test_the_page_of_commands_is_what_help_says(commands):
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run: python docs/commands.py"


def test_every_command_is_on_the_page(commands):
    alone = [c.callback.__name__ for c in app.registered_commands]
    grouped = [
        f"{group.name} {c.name or c.callback.__name__}"
        for group in app.registered_groups
        for c in group.typer_instance.registered_commands
    ]
    assert sorted(commands.COMMANDS) == sorted([*alone, *(group.name for group in app.registered_groups), *grouped])


def test_the_readme_names_only_commands_and_options_that_exist(commands):
    text = commands.page()
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", readme, flags=re.M | re.S))
    lines = re.findall(r"^(?:\.venv/bin/)?vebi ((?:bench )?[a-z0-9]+)(.*)$", blocks, flags=re.M)
    assert len(lines) > 4
    for line in lines:
        section = text.partition(f"## vebi {line[0]}\n")[2].partition("\n## ")[0]
        assert section, line
        for option in re.findall(r"--[a-z-]+", line[1].partition("#")[0]):
            assert f"  {option}" in section, (line, option)


@pytest.mark.parametrize("example", sorted((DOCS.parent / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_without_its_files_says_how_to_use_it(example):
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"python examples/{example.name}" in done.stderr
    assert "Traceback" not in done.stderr


BENCHMARKS = DOCS.parent / "benchmarks"


def quoted(table):
    """Title -> cells of the table of README that stands under the name of a table of the benchmarks."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8").split(f"**{table}** is", 1)[1]
    lines = text[text.index("\n| | ") + 1 :].split("\n\n", 1)[0].splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {title: values for title, *values in cells}


def test_the_readme_quotes_table_1():
    """Its figures are those of the committed table, which is of the whole experiment."""
    table = BenchmarkResult.from_dict(json.loads((BENCHMARKS / "table1.json").read_text(encoding="utf-8")))
    assert table.settings.plan["images_per_class"] == 1000
    rows = {(row.dataset, row.method): row for row in table.rows}
    assert all(len(row.auc_iou) == 5 for row in rows.values())
    methods = {
        "vebi as in the paper": "vebi-paper",
        "upsampled activations of the same features": "upsampled-activations",
        "Grad-CAM": "grad-cam",
        "guided backprop": "guided-backprop",
        "Guided Grad-CAM": "guided-grad-cam",
        "vebi": "vebi",
    }
    readme = quoted("Table 1")
    assert list(readme) == list(methods)
    for title, method in methods.items():
        single, double = (rows[dataset, method] for dataset in ("single-6c", "double-12c"))
        cells = [f"{row.mean:.1f} ± {row.std:.1f}" for row in (single, double)]
        assert readme[title] == [*cells, f"{single.grid_pointing:.0f} / {double.grid_pointing:.0f}"]


def test_the_readme_quotes_table_2():
    """Means over the networks of all architectures, and the deviation of the architectures."""
    table = NetworkTable.from_dict(json.loads((BENCHMARKS / "table2.json").read_text(encoding="utf-8")))
    methods = {
        "vebi": "vebi",
        "occlusion (on fewer images)": "occlusion",
        "Score-CAM at its best layer (on fewer images)": "score-cam-best",
        "Finer-CAM at its best layer": "finer-cam-best",
        "Grad-CAM at its best layer": "grad-cam-best",
        "Grad-CAM": "grad-cam",
        "upsampled activations at their best": "upsampled-activations-best",
        "vebi as in the paper": "vebi-paper",
        "LRP": "lrp",
        "guided backprop": "guided-backprop",
        "Guided Grad-CAM": "guided-grad-cam",
    }
    readme = quoted("Table 2")
    areas, pointing = {}, {}
    variants = list(dict.fromkeys(row.variant for row in table.rows))
    for method in {row.method for row in table.rows}:
        rows = [[row for row in table.rows if (row.method, row.variant) == (method, v)] for v in variants]
        assert all(len(row.auc_iou) == 6 for of_variant in rows for row in of_variant)
        areas[method] = [[row.mean for row in of_variant] for of_variant in rows]
        pointing[method] = [[row.grid_pointing for row in of_variant] for of_variant in rows]
    for title, method in methods.items():
        cells = [f"{np.mean(area):.1f} ± {np.std(area, ddof=1):.1f}" for area in areas[method]]
        grid = [] if None in pointing[method][0] else [f"{np.mean(of_variant):.0f}" for of_variant in pointing[method]]
        assert readme.pop(title) == [*cells, " / ".join(grid)]
    cues = [row.method for row in table.rows if not row.uses_network]
    best = [max(np.mean(areas[cue][k]) for cue in cues) for k in range(len(variants))]
    assert readme == {"the best map without a network": [*(f"{area:.1f}" for area in best), "25"]}


def test_the_readme_quotes_the_tables_without_masks():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("**Without masks**", 1)[1]
    tables = [json.loads((BENCHMARKS / "images" / f"{name}.json").read_text("utf-8")) for name in ("cifar10", "groups")]
    lines = re.findall(r"^\| ([^|]+ \|.+) \|$", text.partition("\nLevel with vebi")[0], flags=re.M)
    assert len(lines) == 7
    for line in lines:
        title, *cells = (cell.strip(" *").replace("*", "") for cell in line.split("|"))
        for cell, table in zip(cells, tables, strict=True):
            (row,) = (row for row in table["rows"] if row["title"] == title)
            means = (row["curves"][name]["mean"] for name in ("deletion_blur", "insertion_blur"))
            assert cell == ", ".join(f"{mean:.1f}" for mean in means), (title, table["data"])
