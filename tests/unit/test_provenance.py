import platform
from datetime import datetime

import torch

from vebi import provenance


def test_versions_of_what_is_installed(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
    assert provenance.versions() == {"python": platform.python_version(), "torch": torch.__version__}


def test_now_has_a_time_zone():
    assert datetime.fromisoformat(provenance.now()).tzinfo is not None
