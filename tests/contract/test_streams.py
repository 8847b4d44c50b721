"""What is printed survives any console, any name and any model; results are all that there is on stdout."""

import json
import os
import subprocess
import sys

import pytest
from cli_support import MODEL
from PIL import Image

CHATTY = """
import os, subprocess, sys
from network import Net

print("imported")

class Chatty(Net):
    def forward(self, x):
        print("in Python")
        os.write(1, b"by number\\n")
        sys.__stdout__.write("behind the back of sys.stdout\\n")
        subprocess.run(["echo", "another process"])
        return super().forward(x)

class Exits(Net):
    def forward(self, x):
        sys.exit(0)

def leaves():
    sys.exit(0)
"""

pytestmark = pytest.mark.usefixtures("workspace_run")


def run(*arguments, **options):
    words = [sys.executable, "-m", "vebi", *map(str, arguments)]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    env = os.environ | {"OMP_NUM_THREADS": "1"} | given.pop("env", {})
    return subprocess.run(words, env=env, timeout=120, check=False, **given)


@pytest.fixture
def chatty(workspace_run):
    with open("chatty.py", "w") as file:  # noqa: PTH123
        file.write(CHATTY)


@pytest.mark.usefixtures("chatty")
def test_a_model_that_prints_does_not_break_json():
    result = run("layers", "chatty.py:Chatty", *MODEL[1:], "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["name"]
    for line in (b"in Python", b"by number", b"another process"):
        assert line in result.stderr


@pytest.mark.usefixtures("chatty")
@pytest.mark.parametrize("spec", ["chatty.py:Exits", "chatty.py:leaves"])
def test_a_model_that_exits_is_no_success(spec):
    result = run("fit", spec, *MODEL[1:], "images", "--out", "new")
    assert result.returncode == 3
    assert b"SystemExit" in result.stderr
    assert b"Traceback" not in result.stderr


#: Runs every command line of a JSON file in one process, for starting one takes seconds; prints their codes last.
IN_TURN = """
import json, sys
from vebi.cli.main import main
codes = []
for words in json.load(open("lines.json")):
    sys.argv = ["vebi", *words]
    try:
        main()
    except SystemExit as end:
        codes.append(end.code)
json.dump(codes, open("codes.json", "w"))
"""
NAMES = ["\u82b1\u56ed", "cafe\u0301", "\U0001f33b", "\udcff\udcfe", "a[b]{c}%s", "line\nbreak", "x" * 230]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_name_is_printed_on_any_console(encoding):
    lines, expected = [], []
    for k, name in enumerate(NAMES):
        os.mkdir(name)  # noqa: PTH102
        for i in range(3):
            Image.new("RGB", (32, 32), (9 * i, 90, 9)).save(f"{name}/{name[:100]}-{i}.png")
        lines += [
            ["explain", "run", name, "--out", f"explained{k}", "--model", *MODEL],
            ["explain", "run", f"{name}/nothing.png", "--out", "new", "--model", *MODEL],
            ["fit", *MODEL, name, "--out", f"{name[:100]}-run", "--mu", "1"],
            ["report", "run", "--images", name, "--out", f"{name[:100]}.html", "--model", *MODEL],
        ]
        expected += [0, 3, 0, 0]
    with open("lines.json", "w") as file:  # noqa: PTH123
        json.dump(lines, file)
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"}
    result = subprocess.run([sys.executable, "-c", IN_TURN], env=env, capture_output=True, check=False)
    assert b"Traceback" not in result.stderr, result.stderr
    assert b"defect" not in result.stderr, result.stderr
    with open("codes.json") as file:  # noqa: PTH123
        assert json.load(file) == expected, result.stderr
    for k in range(len(NAMES)):
        assert len([name for name in os.listdir(f"explained{k}") if name.endswith(".png")]) == 3  # noqa: PTH208


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_are_no_defect(closed):
    command = " ".join(["exec", sys.executable, "-m", "vebi", "layers", *MODEL, *(f"{n}>&-" for n in closed)])
    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""


WRONG = [(["nothing"], 2), ([], 2), (["layers", "nothing.py:Net"], 3), (["layers", "nothing"], 2)]


@pytest.mark.parametrize(("words", "code"), WRONG)
@pytest.mark.parametrize("behind", ["2>/dev/full", "2>&1 >/dev/null | true", "2>&-"])
def test_an_error_that_cannot_be_said_keeps_its_exit_code(words, code, behind):
    command = " ".join(["set -o pipefail;", sys.executable, "-m", "vebi", *words, behind])
    assert subprocess.run(["bash", "-c", command], timeout=120, check=False).returncode == code


@pytest.mark.parametrize("words", ["--help", "fit --help", "--version"])
def test_a_closed_pipe_is_no_error(words):
    command = f"set -o pipefail; (sleep 0.3; exec {sys.executable} -m vebi {words}) | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_full_disk_behind_stdout_is_one_sentence():
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = run("layers", *MODEL, stdout=full)
    assert result.returncode == 1
    assert result.stderr.startswith(b"vebi: ")
    assert b"no space is left on the disk for the output" in result.stderr
    assert result.stderr.count(b"\n") == 1
