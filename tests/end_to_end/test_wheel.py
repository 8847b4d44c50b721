"""What is published works alone: a wheel in an environment of its own, away from the source."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def run(*command, **options):
    """Runs a command without the environment of these tests; its output is shown where it fails."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "PYTEST"))
    }
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("vebi-*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment that holds the wheel and what it asks for, in the versions of constraints.txt."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[flowers]")
    return python


def test_the_wheel_holds_all_files_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("vebi/")}
    source = ROOT / "src"
    files = [path for path in (source / "vebi").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert packed == {path.relative_to(source).as_posix() for path in files}


def test_the_demo_runs_from_the_wheel(python, tmp_path):
    where = run(python, "-c", "import vebi; print(vebi.__file__)", cwd=tmp_path)
    assert "site-packages" in where
    run(python, "-m", "vebi", "demo", "--out", "demo", cwd=tmp_path)
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["accuracy"] > 0.9
    assert summary["auc_iou"]["vebi-paper-heatmaps"] > summary["auc_iou"]["vebi-paper-heatmaps-without-stride-fix"]
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
