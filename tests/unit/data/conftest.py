from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def tree():
    """A function that writes a folder of images per class and returns the root."""

    def write(root: Path, **classes: int) -> Path:
        for name, count in classes.items():
            (root / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (4, 4), (i, i, i)).save(root / name / f"{i}.png")
        return root

    return write
