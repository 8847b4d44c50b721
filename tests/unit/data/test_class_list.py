"""Lists of classes in text files, and labels and folders that are called by the ids in them."""

import numpy as np
import pytest

from vebi.data.class_list import read_class_list
from vebi.data.sources import open_images
from vebi.errors import InputError, VebiWarning


@pytest.mark.parametrize(
    ("text", "names", "ids"),
    [
        ("a\nb\n", ["a", "b"], None),
        ("\ufeffa\r\nb c\r\n\r\n", ["a", "b c"], None),
        ("1\ta\n2\tb c\n", ["a", "b c"], ["1", "2"]),
        (" 1\t a \n\n2\tb\n", ["a", "b"], ["1", "2"]),
        ("n01440764 tench, Tinca tinca\nn01443537\tgoldfish", None, None),
        ("n01440764 tench, Tinca\nn01443537 goldfish", ["tench, Tinca", "goldfish"], ["n01440764", "n01443537"]),
        ("new york\nnew delhi\n", ["new york", "new delhi"], None),
        ("1\ta\tx\n2\tb\ty\n", None, None),
        ("1\t\n2\tb\n", None, None),
        ("\n \n", None, None),
    ],
)  # fmt: skip
def test_names_and_ids(text, names, ids, tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode())
    if names is None:
        with pytest.raises(InputError, match=str(path)):
            read_class_list(path)
    else:
        assert read_class_list(path) == (names, ids)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_what_is_no_list(content, tmp_path):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no text file that can be read"):
        read_class_list(path)


def test_one_name_of_two_ids_in_other_letters(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("1\tcaf\u00e9\n2\tcafe\u0301\n3\tb\n")
    with pytest.warns(VebiWarning, match="^1 and 2 are all called 'caf\u00e9'"):
        assert read_class_list(path)[0] == ["caf\u00e9 (1)", "cafe\u0301 (2)", "b"]


def test_one_name_of_three_ids(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("1\ta\n2\tb\n3\ta\n4\ta\n")
    with pytest.warns(VebiWarning, match="^1 and 3 and 4 are all called 'a'"):
        assert read_class_list(path)[0] == ["a (1)", "b", "a (3)", "a (4)"]


def test_labels_and_folders_by_id_or_by_name(tree, tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    items = open_images([(image, "2"), (image, "x"), (image, 1)], ("x", "y"), ("1", "2"))
    assert [items.load(k)[1] for k in range(3)] == [1, 0, 1]
    root = tree(tmp_path, **{"1": 1, "y": 1})
    assert open_images(root, ("x", "y"), ("1", "2")).labels == [0, 1]
    assert open_images(sorted(root.rglob("*.png")), ("x", "y"), ("1", "2")).labels == [0, 1]
