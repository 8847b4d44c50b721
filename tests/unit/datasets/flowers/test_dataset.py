import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from vebi.datasets.flowers import carrier_mask, generate, load_dataset
from vebi.datasets.flowers.image_ids import image_ids
from vebi.errors import InputError, UsageError

NAME = re.compile(r"class(\d+)_img(\d+)_p([0-4])_r([0-4])\.png")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def labels_of(path):
    return np.array(Image.open(path))


def test_files_are_named_and_counted_as_documented(double):
    record = load_dataset(double)
    assert [c["name"] for c in record["classes"]][::6] == ["petals-red", "leaves-red"]
    assert {p.name for p in double.iterdir()} == {"images", "masks", "dataset.json", "README.md"}
    for index, entry in enumerate(record["classes"]):
        images = sorted(p.name for p in (double / "images" / entry["name"]).iterdir())
        assert images == sorted(p.name for p in (double / "masks" / entry["name"]).iterdir())
        assert len(images) == 10
        assert all(int(NAME.fullmatch(name)[1]) == index and int(NAME.fullmatch(name)[2]) < 40 for name in images)


def test_images_are_rgb_and_masks_are_palette_images_of_part_labels(double):
    for path in (double / "images").rglob("*.png"):
        with Image.open(path) as image, Image.open(double / "masks" / path.parent.name / path.name) as mask:
            assert (image.mode, image.size) == ("RGB", (48, 48))
            assert (mask.mode, mask.size) == ("P", (48, 48))
            assert {0, 1, 4} <= set(np.unique(mask)) <= {0, 1, 2, 3, 4}


def test_the_order_of_images_is_even_in_every_prefix_that_matters():
    ids = image_ids(1000)
    assert len(set(ids)) == 1000
    assert image_ids(137) == ids[:137]
    for count in (40, 200, 480):
        assert set(Counter(n for n, _, _ in ids[:count]).values()) == {count // 40}
        assert set(Counter(r for _, _, r in ids[:count]).values()) == {count // 5}
    frames_of_fold = sorted(n for n, _, r in ids[:40] if r == 0)
    assert max(np.diff(frames_of_fold)) <= 6  # a fold sees every stage of growth, even in a small set


def test_equal_settings_give_equal_bytes_and_others_do_not(tmp_path, small):
    small["images_per_class"] = 2
    records = [generate(tmp_path / name, **small) for name in "ab"]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    other = generate(tmp_path / "c", **(small | {"seed": 4}))
    assert records[0]["sha256"] == records[1]["sha256"] != other["sha256"]


def test_a_small_set_is_part_of_a_larger_one(double, tmp_path, small):
    generate(tmp_path / "four", variant="double-12c", **(small | {"images_per_class": 4}))
    small_set, large_set = contents(tmp_path / "four"), contents(double)
    images = [name for name in small_set if name.endswith(".png")]
    assert len(images) == 2 * 12 * 4
    assert all(small_set[name] == large_set[name] for name in images)


def test_no_two_images_share_a_placement(double):
    masks = [path.read_bytes() for path in (double / "masks").rglob("*.png")]
    assert len(set(masks)) == len(masks)


def test_the_carrier_has_the_colour_of_its_class(double):
    record = load_dataset(double)
    chroma = np.array([c["rgb"] for c in record["classes"][:6]], dtype=float)
    chroma -= chroma.mean(axis=1, keepdims=True)
    chroma /= np.linalg.norm(chroma, axis=1, keepdims=True)
    for index, entry in enumerate(record["classes"]):
        for path in (double / "images" / entry["name"]).iterdir():
            labels = labels_of(double / "masks" / entry["name"] / path.name)
            for which in (index, entry["name"]):
                mask = carrier_mask(labels, which, record)
                assert (mask == (labels == (1 if index < 6 else 4))).all()
            colour = np.array(Image.open(path), dtype=float)[mask].mean(axis=0)
            assert (chroma @ (colour - colour.mean())).argmax() == index % 6, path


def test_the_carrier_is_seen_in_every_image_of_112_pixels(tmp_path):
    record = generate(tmp_path / "set", variant="double-12c", images_per_class=2, size=112)
    for index, entry in enumerate(record["classes"]):
        for path in (tmp_path / "set" / "masks" / entry["name"]).iterdir():
            assert carrier_mask(labels_of(path), index, record).sum() >= 200


def test_carrier_mask_refuses_a_class_that_is_not_there(double):
    record = load_dataset(double)
    for which in ("petals-green", 12, -1):
        with pytest.raises(UsageError, match="no class"):
            carrier_mask(np.zeros((4, 4)), which, record)


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_missing_is_made_again_to_the_bit(double, tmp_path, small, finished):
    folder = tmp_path / "copy"
    shutil.copytree(double, folder)
    for k, path in enumerate(sorted(folder.rglob("*_img0_*.png"))):
        if k % 3:  # some lose the image, some the mask, some both
            path.unlink()
    if not finished:
        (folder / "dataset.json").rename(folder / "dataset.partial.json")
        (folder / "README.md").unlink()
    calls = []
    record = generate(folder, variant="double-12c", **small, progress=lambda *call: calls.append(call))
    assert contents(folder) == contents(double)
    assert record == load_dataset(double)
    assert calls[0][0] < 120
    assert calls[-1] == (120, 120)


def test_a_complete_folder_returns_at_once(double, small, monkeypatch):
    def shade(*_):
        raise AssertionError("nothing was missing")

    monkeypatch.setattr("vebi.datasets.flowers.plain.shade", shade)
    before = {path: path.stat().st_mtime_ns for path in double.rglob("*")}
    assert generate(double, variant="double-12c", **small) == load_dataset(double)
    assert before == {path: path.stat().st_mtime_ns for path in double.rglob("*")}


@pytest.mark.parametrize("other", [{"size": 64}, {"seed": 9}, {"images_per_class": 11}, {"background": "noise"}])
def test_other_settings_are_refused_by_name(double, small, other):
    with pytest.raises(InputError, match=f"with {next(iter(other))} .*choose another folder"):
        generate(double, variant="double-12c", **(small | other))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(InputError, match="not empty"):
        generate(tmp_path)
    with pytest.raises(InputError, match="a file is in its way"):
        generate(tmp_path / "letter.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "bad",
    [
        {"images_per_class": 0},
        {"images_per_class": 1001},
        {"images_per_class": 2.5},
        {"size": 15},
        {"size": 1025},
        {"seed": -1},
        {"variant": "triple"},
        {"background": "meadow"},
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, bad):
    with pytest.raises(UsageError, match=str(next(iter(bad.values())))):
        generate(tmp_path / "new", **bad)
    assert not (tmp_path / "new").exists()


def test_a_missing_or_damaged_record_is_an_input_error(double, tmp_path):
    with pytest.raises(InputError, match="missing"):
        load_dataset(tmp_path)
    good = (double / "dataset.json").read_text()
    without_parts = {key: value for key, value in json.loads(good).items() if key != "parts"}
    for bad in (good[:200], "[]", "{}", json.dumps(without_parts), good.replace("petals-red", "petals-rouge")):
        (tmp_path / "dataset.json").write_text(bad)
        with pytest.raises(InputError):
            load_dataset(tmp_path)


def test_importing_the_package_is_light():
    code = "import sys, vebi.datasets.flowers; print([m for m in ('mitsuba', 'torch', 'drjit') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_data_set_of_an_earlier_version_has_the_plain_scene(double, tmp_path, small):
    folder = tmp_path / "copy"
    shutil.copytree(double, folder)
    record = json.loads((folder / "dataset.json").read_text())
    del record["scene"]
    (folder / "dataset.json").write_text(json.dumps(record))
    assert load_dataset(folder)["scene"] == "plain"
    assert generate(folder, variant="double-12c", **small) == load_dataset(double)
    with pytest.raises(InputError, match="with scene plain, not meadow"):
        generate(folder, variant="double-12c", scene="meadow", **small)
