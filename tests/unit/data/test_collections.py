"""Files and data sets as collections: labels, names and fingerprints."""

import io
from collections import UserDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vebi.data.collections import Subset, evenly_spaced
from vebi.data.sources import open_images, open_unlabelled
from vebi.errors import ImageError, InputError, UsageError

ARRAY = np.full((4, 4, 3), 7, np.uint8)


# --- files ----------------------------------------------------------------------------------------------------------


def test_fingerprint_of_files_moves_with_the_tree_and_changes_with_it(tree, tmp_path):
    one, two = (open_images(tree(tmp_path / name, a=1, b=2)) for name in ("one", "two"))
    before = one.fingerprint()
    assert two.fingerprint() == before
    (tmp_path / "two" / "a" / "0.png").write_bytes(b"other")
    assert two.fingerprint() != before
    (tmp_path / "two" / "a" / "0.png").unlink()
    assert two.fingerprint() != before


def test_a_file_name_need_not_be_utf8(tmp_path):
    images = open_images([Path(str(tmp_path)) / "caf\udce9.png"])
    assert len(images.fingerprint()) == 64


def test_fingerprint_sees_what_is_painted_over(tree, tmp_path):
    tree(tmp_path, red=2, blue=2)
    before = open_images(tmp_path).fingerprint()
    path = next((tmp_path / "red").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert open_images(tmp_path).fingerprint() != before


def test_fingerprints_of_the_first_version_are_still_those(tmp_path):
    """Runs say by them which images they were fitted on."""
    for name, content in {"b/1.png": b"one", "b/deep/2.png": b"two" * 9000, "c.png": b""}.items():
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_bytes(content)
    paths = [tmp_path / "a" / name for name in ("b/1.png", "b/../b/deep/2.png", "c.png", "missing.png")]
    assert open_images(paths).fingerprint() == FILES
    assert open_images([(ARRAY, 0), (Image.fromarray(ARRAY), 1)], ("a", "b")).fingerprint() == ITEMS
    assert Subset(open_images(paths), [2, 0]).fingerprint() == SUBSET


FILES = "11b41c2359c0be90ce9556ba1ad661dfe5a9260f41525d2512204e3e212870ee"
ITEMS = "6781ad0a4ed71954f937f181a75bc208adc68ea87bf1bd4a0bb4f3a88e1ec23a"
SUBSET = "b8407cfe566b1411619c6d8ab11e70131a948fb5ed0f6622b48d748a8b34a6d2"


# --- items of a data set --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [ARRAY, ARRAY[..., 0], torch.from_numpy(ARRAY), Image.fromarray(ARRAY), Image.fromarray(ARRAY[..., 0])],
    ids=["array", "grey array", "tensor", "image", "grey image"],
)
def test_items_of_a_data_set(image):
    loaded, label = open_images([(image, "b")], ("a", "b")).load(0)
    assert (np.asarray(loaded) == ARRAY).all()
    assert loaded.mode == "RGB"
    assert label == 1


def test_items_that_are_paths_or_ready_tensors(tmp_path):
    Image.fromarray(ARRAY).save(tmp_path / "x.png")
    images = open_images(
        [(tmp_path / "x.png", 0), (torch.ones(3, 4, 4, requires_grad=True), torch.tensor(1))], ("a", "b")
    )
    assert (np.asarray(images.load(0)[0]) == ARRAY).all()
    tensor, label = images.load(1)
    assert tensor.shape == (3, 4, 4)
    assert label == 1
    assert images.ids == ["0", "1"]
    assert len(images.fingerprint()) == 64


@pytest.mark.parametrize(
    ("item", "facts"),
    [
        (ARRAY, ["item 0", "ndarray", "(image, label)"]),
        (Image.fromarray(ARRAY), ["item 0", "(image, label)"]),
        ((ARRAY, 2), ["item 0", "label 2", "0 to 1"]),
        ((ARRAY, -1), ["item 0", "label -1"]),
        ((ARRAY, 0.5), ["item 0", "label 0.5"]),
        ((ARRAY, None), ["item 0", "label None"]),
        ((ARRAY, "c"), ["'c'", "a, b"]),
    ],
)
def test_items_that_cannot_be_used(item, facts):
    with pytest.raises(InputError) as raised:
        open_images([item], ("a", "b")).load(0)
    assert all(fact in str(raised.value) for fact in facts)


@pytest.mark.parametrize(
    "image", [None, ARRAY.astype(float), ARRAY[None], np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 4)), "no.png"]
)
def test_items_that_are_no_image(image):
    with pytest.raises(ImageError):
        open_images([(image, 0)], ("a", "b")).load(0)


def test_a_truncated_image_that_was_opened_lazily():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(buffer, "PNG")
    half = Image.open(io.BytesIO(buffer.getvalue()[:900]))
    with pytest.raises(ImageError, match=r"item 0 .*truncated"):
        open_images([(half, 0)], ("a", "b")).load(0)


def test_labels_of_a_data_set_without_class_names():
    images = open_images([(ARRAY, 5)])
    assert images.load(0)[1] == 5
    with pytest.raises(InputError, match="'a'"):
        open_images([(ARRAY, "a")]).load(0)


def test_an_item_that_raises_is_an_image_that_cannot_be_loaded():
    class Broken:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise ValueError("mine")

    with pytest.raises(ImageError, match=r"^item 0 of the data set cannot be loaded \(ValueError: mine\)"):
        open_images(Broken()).load(0)


LABELS = [
    1,
    np.int32(1),
    torch.tensor(1),
    torch.tensor([1]),
    1.0,
    np.float32(1),
    np.array([0, 1]),
    "b",
    np.str_("b"),
    b"b",
]


@pytest.mark.parametrize("label", LABELS, ids=range(10))
@pytest.mark.parametrize("keys", [None, ("image", "label"), ("img", "fine_label"), ("pixel_values", "labels")])
def test_labels_and_items_of_every_kind(label, keys):
    item = (ARRAY, label) if keys is None else dict(zip(keys, (ARRAY, label), strict=True))
    image, index = open_images([item], ("a", "b")).load(0)
    assert index == 1
    assert np.array_equal(image, ARRAY)


@pytest.mark.parametrize("label", ["caf\u00e9", "cafe\u0301", "cafe\u0301".encode()])
@pytest.mark.parametrize(("names", "ids"), [(("b", "cafe\u0301"), None), (("b", "c"), ("1", "caf\u00e9"))])
def test_labels_are_compared_whatever_their_letters_are_made_of(label, names, ids):
    assert open_images([(ARRAY, label)], names, ids).load(0)[1] == 1


@pytest.mark.parametrize(
    "label", [0.5, float("nan"), np.array([1, 1]), np.eye(5)[0], np.array([0.5, 0.5]), [], object(), 1j, {}]
)
def test_labels_that_are_none(label):
    with pytest.raises(InputError, match=r"item 0 has the label .*, but a class index or a class name is needed"):
        open_images([(ARRAY, label)], ("a", "b")).load(0)


class Fragile:
    """Whatever is asked of it raises."""

    def __index__(self):
        raise KeyError("no index")

    def __repr__(self):
        raise ValueError("no text")


@pytest.mark.parametrize("label", [float("inf"), -np.inf, torch.tensor(float("nan")), Fragile(), torch.eye(3)[0]])
def test_labels_that_cannot_even_be_read(label):
    with pytest.raises(InputError, match="item 0 has the label"):
        open_images([(ARRAY, label)], ("a", "b")).load(0)


def test_a_one_hot_label_that_requires_a_gradient():
    assert open_images([(ARRAY, torch.eye(2)[1].requires_grad_())], ("a", "b")).load(0)[1] == 1


class UntoldError(Exception):
    def __str__(self):
        raise TypeError("no text")


ERRORS = [OSError("gone"), SystemExit(1), GeneratorExit(), StopIteration(), UntoldError(), InputError("of its own")]


class Raising(UserDict):
    """As data sets that decode an image when it is asked for."""

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if isinstance(value, BaseException):
            raise value
        return value

    def __len__(self):
        return len(self.data)


@pytest.mark.parametrize("opened", [open_images, open_unlabelled])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("lazy", [False, True])
def test_items_that_raise(error, lazy, opened):
    item = Raising(image=error, label=0) if lazy else error
    images = opened(Raising({0: item, 1: (ARRAY, 1)}), ("a", "b"))
    with pytest.raises(ImageError, match=f"item 0 of the data set cannot be loaded .{type(error).__name__}"):
        images.load(0)
    assert images.load(1)[1] == 1


def test_an_interruption_is_none_of_its_items():
    with pytest.raises(KeyboardInterrupt):
        open_images(Raising({0: KeyboardInterrupt(), 1: (ARRAY, 1)}), ("a", "b")).load(0)


@pytest.mark.parametrize("opened", [open_images, open_unlabelled])
@pytest.mark.parametrize("length", [-1, "5", None])
def test_lengths_that_are_none(length, opened):
    class Items:
        def __len__(self):
            return length

        def __getitem__(self, index):
            return ARRAY, 0

    with pytest.raises(UsageError, match=r"len\(\) of the data, a Items, fails"):
        opened(Items(), ("a", "b"))


def test_paths_among_which_there_is_something_else():
    with pytest.raises(UsageError, match="one of the paths is an int"):
        open_images(["a.png", 5])


def test_items_with_other_keys():
    with pytest.raises(InputError, match="item 0 of the data set has the keys text, id, but 'image' and 'label' are"):
        open_images([{"text": "x", "id": 3}]).load(0)


def test_fingerprint_of_a_data_set():
    data = [(ARRAY, 0), ("no.png", 1)]  # the second cannot be decoded, which is no reason to stop
    before = open_images(data, ("a", "b")).fingerprint()
    assert open_images(data, ("a", "b")).fingerprint() == before
    assert open_images([(ARRAY + 1, 0), data[1]], ("a", "b")).fingerprint() != before
    assert open_images([(ARRAY, 1), data[1]], ("a", "b")).fingerprint() != before
    assert open_images([*data, data[0]], ("a", "b")).fingerprint() != before


# --- parts of a collection ------------------------------------------------------------------------------------------


def test_a_subset_has_its_images_in_the_order_of_its_indices():
    images = open_images([(ARRAY + i, i) for i in range(4)], tuple("abcd"))
    subset = Subset(images, [3, 1])
    assert (len(subset), subset.ids, subset.class_names) == (2, ["3", "1"], ("a", "b", "c", "d"))
    assert [subset.load(i)[1] for i in range(2)] == [3, 1]
    assert subset.fingerprint() != Subset(images, [1, 3]).fingerprint()


@pytest.mark.parametrize(
    ("count", "most", "chosen"),
    [(0, 3, []), (2, 5, [0, 1]), (7, 3, [0, 3, 6]), (7, 1, [0]), (10, 4, [0, 3, 6, 9]), (5, 0, [])],
)
def test_evenly_spaced_items(count, most, chosen):
    assert evenly_spaced(range(count), most) == chosen
