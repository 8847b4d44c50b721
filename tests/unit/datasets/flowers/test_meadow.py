"""Flowers in a meadow: whatever is drawn but the carrying part is drawn without knowledge of the class."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from vebi.datasets.flowers import carrier_mask, generate, load_dataset
from vebi.datasets.flowers.clutter import draw_front
from vebi.datasets.flowers.meadow import MeadowFrame, draw_meadow, view_of
from vebi.datasets.flowers.placement import Placement, compose
from vebi.datasets.flowers.scene import FRAMES, MEADOW_PARTS
from vebi.datasets.flowers.variants import COLOURS, VARIANTS, classes
from vebi.errors import UsageError

SIZE = 32
BOX = np.array([[-0.5, -0.6], [0.5, -0.6], [-0.5, 0.7], [0.5, 0.7]])


def facts(meadow):
    """What was drawn for an image, as numbers."""
    colours = [list(COLOURS).index(colour) for colour in meadow.colours.values()]
    placement = dataclasses.astuple(meadow.placement)
    place = [placement[0], placement[1], *placement[2]]
    pixels = [*meadow.behind.reshape(-1, 8, 4, 3).mean(axis=(0, 2)).ravel(), *meadow.front.mean(axis=(0, 1))]
    return np.array([*colours, *place, *meadow.light, meadow.mirrored, *pixels])


def seeds_of(variant, count):
    """The class and the generator of each of ``count`` images per class, as ``generate`` makes them."""
    index = list(VARIANTS).index(variant)
    for c in range(len(classes(variant))):
        for n in range(count):
            yield c, np.random.default_rng(np.random.SeedSequence([0, index, c, n % FRAMES, 0, n // FRAMES]))


@pytest.fixture(scope="module", params=VARIANTS)
def frames(request):
    """A frame of a variant, and the variant."""
    return MeadowFrame(30, SIZE, classes(request.param)), request.param


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_drawn_does_not_tell_the_class(variant):
    drawn = [(c, facts(draw_meadow(rng, BOX, SIZE))) for c, rng in seeds_of(variant, 480 // len(classes(variant)))]
    labels, numbers = (np.array(column) for column in zip(*drawn, strict=True))
    accuracy = cross_val_score(RandomForestClassifier(60, random_state=0), numbers, labels, cv=4).mean()
    chance = 1 / len(classes(variant))
    assert abs(accuracy - chance) < 3 * np.sqrt(chance * (1 - chance) / len(labels))


def test_what_is_seen_beside_the_part_that_carries_the_class_does_not_tell_it():
    """Pixels away from the petals; a classifier of the same kind on the petals shows that it could tell."""
    frame, seen, petals, labels = MeadowFrame(30, SIZE, classes("single-6c")), [], [], []
    for c, rng in seeds_of("single-6c", 60):
        image, parts = frame.painter(classes("single-6c")[c])(rng)
        seen.append(histogram(image[~grow(parts == 1, 1)]))
        petals.append(histogram(image[parts == 1]))
        labels.append(c)
    forest = RandomForestClassifier(60, random_state=0)
    accuracy = {name: cross_val_score(forest, x, labels, cv=4).mean() for name, x in (("seen", seen), ("own", petals))}
    assert abs(accuracy["seen"] - 1 / 6) < 3 * np.sqrt(5 / 36 / 360)
    assert accuracy["own"] > 0.9


def grow(mask, pixels):
    """The mask and what is near it: pixels of an edge mix two parts."""
    return maximum_filter(mask, 2 * pixels + 1)


def histogram(pixels):
    """The share of the pixels (N, 3) in each of 64 boxes of colour."""
    boxes = (pixels // 64).astype(int) @ [16, 4, 1]
    return np.bincount(boxes, minlength=64) / max(len(boxes), 1)


def test_classes_of_one_image_differ_in_the_carrying_part_alone(frames):
    frame, variant = frames
    drawn = [frame.painter(c)(np.random.default_rng(5)) for c in classes(variant)]
    images, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    carriers = np.isin(labels, [MEADOW_PARTS[part] for part in VARIANTS[variant]]).any(axis=0)
    same = (images == images[0]).all(axis=(0, 3))
    assert not same[carriers].all()
    # petals of another form uncover and shade what is behind them, but on the flower alone
    away = ~grow((labels > 0).any(axis=0) if variant == "shape-6c" else carriers, 2)
    assert away.sum() > 100
    assert same[away].all()


def test_the_place_does_not_depend_on_the_form():
    frame = MeadowFrame(30, SIZE, classes("shape-6c"))
    labels = np.stack([frame.painter(c)(np.random.default_rng(1))[1] for c in classes("shape-6c")])
    standing = np.isin(labels, [MEADOW_PARTS["leaves"], MEADOW_PARTS["pot"]]).any(axis=0)
    assert standing.sum() > 30
    assert (labels[:, standing] > 0).mean() > 0.97  # petals may cover what stands below them, but it is not elsewhere


def test_what_the_front_covers_has_no_label():
    labels = np.full((64, 64), MEADOW_PARTS["petals"], np.uint8)
    front = np.zeros((32, 32, 4), np.float32)
    front[:10, :, 1] = front[:10, :, 3] = 1.0
    front[10:20, :, 1] = front[10:20, :, 3] = 0.25
    image, mask = compose(
        np.ones((4, 64, 64), np.float32),
        labels,
        Placement(0.0, 1.0, (0.0, 0.0)),
        np.zeros((32, 32, 3), np.float32),
        front=front,
        light=np.array([1.0, 0.5, 1.0]),
    )
    assert (mask[:10] == 0).all()
    assert (mask[10:] == 1).all()
    assert (image[:10] == [0, 188, 0]).all()  # half of the light in sRGB
    assert (image[20:] == [255, 188, 255]).all()
    assert (image[10:20, :, 0] > 188).all()


def test_the_front_is_premultiplied():
    for seed in range(20):
        front = draw_front(np.random.default_rng(seed), 64)
        assert (front[..., :3] <= front[..., 3:] + 1e-6).all()
        assert front.min() >= 0
        assert front[..., 3].mean() < 0.35


def test_the_lamp_moves_with_the_frame_and_stays_above_and_in_front():
    lamps = np.array([view_of(frame).lamp for frame in range(FRAMES)])
    assert len(np.unique(lamps.round(6), axis=0)) == FRAMES
    assert (lamps[:, 2] > 4).all()
    assert (lamps[:, 1] < 1e-9).all()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder with an image of each class of shape-6c, 112 px."""
    folder = tmp_path_factory.mktemp("meadow") / "shapes"
    generate(folder, variant="shape-6c", images_per_class=1)
    return folder


def test_a_data_set_in_a_meadow_says_so_and_has_a_pot(shapes):
    record = load_dataset(shapes)
    assert record["scene"] == "meadow"
    assert record["parts"]["pot"] == 5
    assert [c["form"] for c in record["classes"]] == [c["name"] for c in record["classes"]]
    assert "n mod 5" in (shapes / "README.md").read_text()
    labels = np.stack([np.array(Image.open(path)) for path in (shapes / "masks").rglob("*.png")])
    assert set(np.unique(labels)) == set(range(6))


def test_the_carrier_is_seen_in_every_image_of_a_meadow(shapes, tmp_path):
    generate(tmp_path / "double", variant="double-12c", scene="meadow", images_per_class=1)
    for folder in (shapes, tmp_path / "double"):
        record = load_dataset(folder)
        for path in (folder / "masks").rglob("*.png"):
            assert carrier_mask(np.array(Image.open(path)), path.parent.name, record).sum() >= 100


def test_a_meadow_is_repeated_to_the_byte(shapes, tmp_path):
    again = generate(tmp_path / "again", variant="shape-6c", scene="meadow", images_per_class=1)
    assert again["sha256"] == load_dataset(shapes)["sha256"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "shape-6c", "scene": "plain"}, "shape-6c has no scene 'plain'"),
        ({"scene": "meadow", "background": "noise"}, "ground of its own"),
        ({"scene": "desert"}, "no scene 'desert'"),
    ],
)
def test_scenes_that_cannot_be_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        generate(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
