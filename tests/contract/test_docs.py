"""What the documentation says is what the program does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vebi.cli.main import app
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


TABLE = DOCS.parent / "benchmarks" / "table1.json"


def test_the_readme_quotes_the_table():
    """Its figures are those of the committed table, which is of the whole experiment."""
    table = BenchmarkResult.from_dict(json.loads(TABLE.read_text(encoding="utf-8")))
    assert table.settings.plan["images_per_class"] == 1000
    rows = {(row.dataset, row.method): row for row in table.rows}
    assert len(rows) == len(table.rows) == 32
    assert all(len(row.auc_iou) == 5 for row in rows.values())
    quoted = {
        "**vebi**": "vebi",
        "upsampled activations of the same features": "upsampled-activations",
        "Grad-CAM": "grad-cam",
        "guided backprop": "guided-backprop",
        "Guided Grad-CAM": "guided-grad-cam",
    }
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for title, method in quoted.items():
        single, double = (rows[dataset, method] for dataset in ("single-6c", "double-12c"))
        cells = [f"{row.mean:.1f} ± {row.std:.1f}" for row in (single, double)]
        cells.append(f"{single.grid_pointing:.0f} / {double.grid_pointing:.0f}")
        line = next(line for line in readme.splitlines() if line.startswith(f"| {title} |"))
        assert [cell.strip(" *") for cell in line.split("|")[2:5]] == cells
