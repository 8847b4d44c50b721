"""A folder as a user has one, and a finished run in it."""

import shutil
from pathlib import Path

import pytest
from cli_support import FIT, NETWORK, vebi
from safetensors.torch import save_file


@pytest.fixture(scope="session")
def finished(tmp_path_factory, squares, toy_module) -> Path:
    """A folder with network.py, w.safetensors, images/ and run/, a fit of them; tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "network.py").write_text(NETWORK)
    save_file(toy_module.state_dict(), folder / "w.safetensors")
    shutil.copytree(squares, folder / "images")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        vebi(*FIT, "--out", "run")
    return folder


@pytest.fixture
def workspace(tmp_path, finished, monkeypatch) -> Path:
    """A folder with network.py, w.safetensors and images/, as the current one."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run", "__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def workspace_run(workspace, finished) -> Path:
    """The run of the same folder, which is copied into it."""
    shutil.copytree(finished / "run", workspace / "run")
    return workspace / "run"
