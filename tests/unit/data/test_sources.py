"""What can be opened as images, and what cannot."""

import pytest

from vebi.data.sources import open_images, open_unlabelled
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


def test_images_without_labels_may_lie_in_any_folders(squares, tmp_path):
    (tmp_path / "only").symlink_to(squares / "red")
    with pytest.raises(InputError, match="one class only"):
        open_images(tmp_path)
    images = open_unlabelled(tmp_path, ("x", "y"))
    assert images.ids == [str(tmp_path / "only" / f"{i:02d}.png") for i in range(24)]
    pixels = [images.load(i)[0] for i in range(2)]
    assert len(open_unlabelled(pixels)) == 2
    assert open_unlabelled(images) is images
    with pytest.raises(InputError, match="no does not exist"):
        open_unlabelled(tmp_path / "no")
