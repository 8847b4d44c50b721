"""One small data set of each kind, made once; tests read it and copy it before they change it."""

import pytest

from vebi.datasets.flowers import generate

SMALL = {"images_per_class": 10, "size": 48, "seed": 3}


@pytest.fixture(scope="session")
def double(tmp_path_factory):
    """A folder with ten images of each class of double-12c, 48 px."""
    folder = tmp_path_factory.mktemp("flowers") / "double"
    generate(folder, variant="double-12c", **SMALL)
    return folder


@pytest.fixture
def small():
    """The settings of ``double``, but for the variant."""
    return dict(SMALL)
