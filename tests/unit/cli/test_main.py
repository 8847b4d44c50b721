"""The command line as a whole: version, help, what a terminal and a pipe see, interruption."""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from cli_support import FIT, MODEL, json_of, run, vebi

pytestmark = pytest.mark.usefixtures("workspace")


def test_version():
    assert vebi("--version").out == f"{version('vebi')}\n"


def test_without_a_command_the_help_is_the_answer():
    outcome = run()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: vebi" in outcome.err
    assert "Usage: vebi" in vebi("-h").out


def test_warnings_of_other_libraries_are_not_for_users():
    assert vebi("layers", *MODEL).err == ""


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["fit", "--help"]])
def test_the_package_can_be_run(words):
    done = subprocess.run([sys.executable, "-m", "vebi", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{version('vebi')}\n" if words == ["--version"] else "Usage: vebi" in done.stdout


VEBI = [sys.executable, "-c", "from vebi.cli.main import main; main()"]


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["explain", "--help"]])
def test_help_does_not_wait_for_torch(arguments):
    code = f"""
import sys
sys.argv = ["vebi", *{arguments!r}]
from vebi.cli.main import main
try:
    main()
finally:
    assert not {{"torch", "numpy", "sklearn"}} & sys.modules.keys()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--version"], ["doctor"], ["layers", *MODEL], ["layers", *MODEL, "--json"]], ids=" ".join
)
def test_a_reader_that_has_gone_is_no_error(arguments):
    command = subprocess.Popen(
        [*VEBI, *arguments],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait(60) == 0


def test_an_interrupted_fit_ends_with_130_and_resumes():
    slow = subprocess.Popen(
        [*VEBI, *map(str, FIT), "--out", "run", "--batch-size", "4"],
        env=os.environ | {"NAP": "0.3", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not Path("run/table").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        slow.send_signal(signal.SIGINT)
        _, errors = slow.communicate(timeout=30)
    finally:
        slow.kill()
    assert slow.returncode == 130
    assert errors.splitlines() == ["vebi: interrupted; the same command resumes it"]
    assert not Path("run/interpretation.json").exists()
    resumed = json_of(*FIT, "--out", "run", "--batch-size", 4)
    fresh = json_of(*FIT, "--out", "fresh", "--batch-size", 4)
    assert resumed["classes"] == fresh["classes"]
