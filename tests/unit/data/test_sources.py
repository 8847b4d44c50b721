"""What can be opened as images, and what cannot."""

import pytest

from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/no does not exist"):
        open_images(tmp_path / "no")


@pytest.mark.parametrize(
    ("data", "error", "fact"), [([], InputError, "empty"), (3, UsageError, "int"), (iter("ab"), UsageError, "iterator")]
)
def test_what_is_no_collection(data, error, fact):
    with pytest.raises(error, match=fact):
        open_images(data)


def test_a_collection_is_returned_as_it_is(squares):
    images = open_images(squares)
    assert open_images(images) is images
