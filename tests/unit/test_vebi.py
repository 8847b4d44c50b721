import subprocess
import sys

import pytest

import vebi


def test_every_public_name_is_there():
    assert all(getattr(vebi, name) is not None for name in vebi.__all__)
    assert set(dir(vebi)) == set(vebi.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        vebi.__getattr__("nothing")


def test_importing_vebi_imports_neither_torch_nor_numpy():
    code = "import sys, vebi; sys.exit(bool({'torch', 'numpy', 'PIL', 'sklearn'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
