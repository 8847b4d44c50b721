"""A disk that is full ends every command in one sentence, and once there is space again the same command ends well."""

import errno
import os
from pathlib import Path

import pytest
from cli_support import FIT, fails, vebi

MODEL = ("--model", "network.py:Net", "--weights", "w.safetensors")
COMMANDS = {
    "fit": (*FIT, "--out", "new"),
    "explain": ("explain", "run", "images/red/00.png", "images/red/01.png", *MODEL, "--out", "new"),
    "report": ("report", "run", *MODEL, "--out", "new.html"),
    "path": ("path", "run", "--out", "new.svg"),
    "flowers": ("flowers", "new", "--images-per-class", "6"),
    "train": ("train", "images", "--out", "new.safetensors", "--epochs", "2"),
}


@pytest.mark.usefixtures("workspace_run")
@pytest.mark.parametrize("written", [0, 1])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_sentence_and_costs_nothing(name, written, monkeypatch):
    """It is full once so many files are in place."""
    done, replace = [], Path.replace

    def replace_or_fail(path, target):
        if len(done) >= written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done.append(target)
        return replace(path, target)

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", replace_or_fail)
        if name in ("report", "path") and written:  # they write one file
            vebi(*COMMANDS[name])
            return
        assert "no space is left on the disk for new" in fails(1, *COMMANDS[name])
    assert not list(Path().rglob("*.partial"))
    vebi(*COMMANDS[name])
