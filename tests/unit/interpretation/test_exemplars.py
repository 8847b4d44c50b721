"""Images in which a feature is strongest, lit where it fires, and the average of what is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature, list_layers, match_layers
from vebi.activations.table import tabulate
from vebi.data.collections import DatasetImages
from vebi.interpretation import exemplars
from vebi.interpretation.contact_sheet import contact_sheet, resize_square, restore_contrast
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.exemplars import PADDING, Exemplar, consistency, find_exemplars
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

SIZE = 48


class RedSquare(nn.Module):
    """A feature of 5 x 5 pixels at every second position that fires where everything is red; another one is silent."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 5, stride=2, padding=2)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = 1
            self.conv.weight[0, 1:] = -1
            self.conv.bias.copy_(torch.tensor([-20.0, -1.0]))

    def forward(self, x):
        return self.relu(self.conv(x)).sum((2, 3))


def red_at(y, x, ground=30):
    """A red square of 5 x 5 around (y, x) on grey, cut off at the border."""
    pixels = np.full((SIZE, SIZE, 3), ground, np.uint8)
    pixels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = (255, 0, 0)
    return pixels


@pytest.fixture(autouse=True)
def as_large_as_the_images(monkeypatch):
    monkeypatch.setattr(exemplars, "SIDE", SIZE)


@pytest.fixture
def found(tmp_path):
    def find(images, columns=(0,), batch_size=3, network=None, descriptor=Descriptor()):
        classifier = Classifier((network or RedSquare()).eval(), Preprocess(SIZE, (0.0,) * 3, (1.0,) * 3), ("a", "b"))
        collection = DatasetImages([(image, 0) for image in images], ("a", "b"))
        table = tabulate(classifier, collection, tuple(match_layers(list_layers(classifier))), tmp_path, descriptor)
        return find_exemplars(classifier, collection, table, list(columns), batch_size=batch_size)

    return find


def redness(pixels):
    return pixels[..., 0].astype(int) - pixels[..., 1]


def test_crops_are_aligned_where_the_feature_fires(found):
    (e,) = found(
        [red_at(*p) for p in [(12, 14), (24, 16), (34, 20), (20, 34)]] + [np.full((SIZE, SIZE, 3), 30, np.uint8)]
    )
    assert str(e.feature) == "relu:0"
    assert (e.count, e.positions, e.receptive_field) == (4, (24, 24), (5, 5))
    assert sorted(e.image_ids) == ["0", "1", "2", "3"]
    average = e.average.pixels
    assert average.shape == (48, 48, 3)
    y, x = np.argwhere(redness(average) > 150).mean(axis=0)
    assert abs(y - 23.5) < 3  # the middle, as near as positions allow
    assert abs(x - 23.5) < 3
    assert redness(average).max() > 200  # all squares at one place
    assert redness(average)[[0, -1]].max() < 20


def test_a_crop_is_as_large_as_the_spot_that_fired_and_not_as_all_that_could_be_seen(found):
    """Sixteen pixels, the smallest there is, are a third of the image: the square is three times as large as in it."""
    (e,) = found([red_at(20, 20), red_at(24, 26)])
    red = redness(e.average.pixels)
    wide = (red > 0.4 * red.max()).any(axis=0).sum()
    assert 8 <= wide <= 18  # five in the image


def test_the_strongest_come_first_and_batches_do_not_matter(found):
    network = RedSquare()
    torch.nn.init.constant_(network.conv.bias[1:], 1.0)  # fires everywhere, so that the other one's share differs
    shades = [30, 0, 15, 40, 8]  # green in the red: the more, the weaker
    images = [red_at(20, 20) for _ in shades]
    for image, shade in zip(images, shades, strict=True):
        image[image[..., 0] == 255, 1] = shade
    (one,) = found(images, batch_size=1, network=network)
    for scaling in ("standardised", "plain", "log", "clr"):
        (e,) = found(images, batch_size=4, network=network, descriptor=Descriptor(scaling=scaling))
        assert e.image_ids == one.image_ids == tuple(str(i) for i in np.argsort(shades))
        assert e.average == one.average
        assert e.spotlights == one.spotlights


def test_a_spotlight_is_dark_but_where_the_feature_fired(found):
    (e,) = found([red_at(20, 20, ground=180)])
    (image,) = (spotlight.pixels for spotlight in e.spotlights)
    assert image.shape == (48, 48, 3)
    assert image.max() > 230
    lit = redness(image) > 100
    assert lit.any()
    assert (image[~lit].max(axis=1) - image[~lit].min(axis=1)).max() < 110
    corner = image[:8, :8]
    assert (corner == corner[0, 0]).all()
    assert corner.max() < 100  # of 180, and grey


def test_what_lies_outside_does_not_count(found):
    """Squares in a corner: most of the crop is outside, where nothing is but the grey of the page."""
    corner = np.full((SIZE, SIZE, 3), 30, np.uint8)
    corner[:5, :5] = (255, 0, 0)
    (e,) = found([corner] * 4)
    average = e.average.pixels.astype(int)
    assert (abs(average[:6, :6] - PADDING) < 3).all()
    assert redness(average)[24:32, 24:32].max() > 60


def test_no_edge_of_an_image_shows_in_the_average(found):
    """One of three crops reaches beyond its image: it fades in, so that neighbouring pixels are nearly the same."""
    (e,) = found([red_at(4, 24, ground=200), red_at(24, 24, ground=60), red_at(30, 26, ground=60)])
    column = e.average.pixels[:, 2].astype(int)
    assert abs(np.diff(column, axis=0)).max() < 25
    assert abs(column[0] - column[-1]).max() > 10


def test_a_field_larger_than_the_image_is_cut_to_where_it_fires(found):
    class Deep(RedSquare):
        """Sees everything from everywhere, but fires where the square is."""

        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(2, 2, 47, padding=23)
            with torch.no_grad():
                self.wide.weight.zero_()
                self.wide.weight[0, 0, 23, 23] = 1
                self.wide.bias.zero_()

        def forward(self, x):
            return self.relu(self.wide(torch.relu(self.conv(x)))).sum((2, 3))

    classifier_layers = found([red_at(16, 18), red_at(26, 24), red_at(22, 14)], columns=(2,), network=Deep())
    (e,) = classifier_layers
    assert e.receptive_field == (48, 48)
    red = redness(e.average.pixels) > 150
    assert abs(np.argwhere(red).mean(axis=0) - 23.5).max() < 3


def test_the_classes_of_the_images_are_counted(found):
    class Judge(RedSquare):
        """Takes an image with red in its upper half for b."""

        def forward(self, x):
            super().forward(x)
            upper = (x[:, 0, :24] - x[:, 1, :24]).amax((1, 2))
            return torch.stack([torch.full((len(x),), 0.1), upper], dim=1)

    (e,) = found([red_at(8, 12), red_at(40, 16), red_at(12, 20)], network=Judge())
    assert e.predicted == {"b": 2, "a": 1}
    assert list(e.predicted) == ["b", "a"]


def test_consistency_is_the_mean_cosine_of_all_pairs_after_a_band_pass():
    crops = np.random.default_rng(0).random((9, 24, 24, 3))
    parts = []
    for crop in crops:
        fine, coarse = (
            np.stack([gaussian_filter(crop[..., c], sigma, mode="nearest") for c in range(3)], -1) for sigma in (1, 8)
        )
        parts.append((fine - coarse).ravel())
    cosines = [a @ b / np.sqrt(a @ a * (b @ b)) for i, a in enumerate(parts) for b in parts[:i]]
    assert consistency(crops) == pytest.approx(np.mean(cosines))


def test_consistency_at_its_ends():
    noise = np.random.default_rng(0).random((60, 24, 24, 3))
    assert consistency(np.repeat(noise[:1], 60, axis=0)) == pytest.approx(1)
    assert consistency(noise) == pytest.approx(0, abs=0.05)
    assert consistency(np.stack([noise[0], 0.4 * noise[0] + 0.3])) == pytest.approx(
        1
    )  # contrast and light do not count
    assert consistency(np.stack([noise[0], 1 - noise[0]])) == pytest.approx(-1)
    assert consistency(np.full_like(noise, 7)) == 0  # nothing is in it


def test_crops_that_are_all_the_same_are_wholly_consistent(found):
    grounds = np.random.default_rng(0).integers(0, 90, (20, SIZE, SIZE, 3), np.uint8)
    (e,) = found([red_at(12, 14), red_at(24, 16), red_at(20, 20), *grounds])
    assert e.count == 3
    assert e.consistency == pytest.approx(1, abs=0.01)


def test_crops_of_a_feature_that_sees_nothing_are_as_different_as_any(found):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(12)]
    network = RedSquare()
    torch.nn.init.zeros_(network.conv.weight)
    torch.nn.init.ones_(network.conv.bias)
    (same,) = found(images, network=network)
    assert abs(same.consistency) < 0.3


def test_one_crop_alone_is_like_nothing(found):
    (e,) = found([red_at(16, 16), np.full((SIZE, SIZE, 3), 30, np.uint8)])
    assert e.count == 1
    assert e.consistency is None


def test_counts(found, monkeypatch):
    monkeypatch.setattr(exemplars, "COUNTED", 9)
    monkeypatch.setattr(exemplars, "AVERAGED", 7)
    monkeypatch.setattr(exemplars, "SHOWN", 4)
    (e,) = found([red_at(12, 12 + 2 * (i % 8)) for i in range(10)])
    assert e.count == 9
    assert len(e.spotlights) == len(e.image_ids) == 4


def test_a_feature_that_never_fires(found):
    fires, silent = found([red_at(16, 16), red_at(20, 20)], columns=(0, 1))
    assert fires.count == 2
    assert (silent.count, silent.spotlights, silent.consistency, silent.contrast) == (0, (), None, 0.0)
    assert (silent.average.pixels == PADDING).all()
    assert contact_sheet(silent).size[1] == contact_sheet(fires).size[1]


def test_nothing_selected(found):
    assert found([red_at(16, 16)], columns=()) == []


def test_numbers_without_positions_show_the_whole_image(found):
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            return torch.relu(self.linear(x.mean((2, 3))).abs())

    images = [red_at(12, 12), red_at(40, 40)]
    (e,) = found(images, network=Flat())
    assert e.positions == (1, 1)
    assert (e.average.pixels == np.mean(images, axis=0).round()).all()
    assert {(spot.pixels == images[int(i)]).all() for spot, i in zip(e.spotlights, e.image_ids, strict=True)} == {True}


def test_a_network_that_changes_its_input_in_place(found):
    class Greedy(RedSquare):
        def forward(self, x):
            return super().forward(x.mul_(0.95))

    (e,) = found([red_at(20, 20)], network=Greedy())
    assert redness(e.average.pixels).max() > 240


def example(average, contrast, spotlights=()):
    return Exemplar(
        feature=Feature("a", 0),
        positions=(3, 3),
        receptive_field=(6, 6),
        count=8,
        predicted={},
        image_ids=tuple(map(str, range(len(spotlights)))),
        spotlights=tuple(map(EncodedImage.encode, spotlights)),
        average=EncodedImage.encode(average),
        contrast=contrast,
        consistency=None,
    )


def test_contrast_is_given_back_and_nothing_else():
    average = np.full((6, 6, 3), (120, 60, 30), np.uint8)
    average[:3] += 6
    shown = restore_contrast(example(average, 70.0)).astype(int)
    assert (shown[0, 0] - shown[5, 5]).tolist() == [12, 12, 12]  # twice as far apart, and no more
    assert shown.mean(axis=(0, 1)) == pytest.approx(average.mean(axis=(0, 1)), abs=0.5)
    assert (restore_contrast(example(average, 3.0)) == average).all()  # single crops have no more contrast
    assert (restore_contrast(example(average, 0.0)) == average).all()
    flat = np.full((6, 6, 3), 90, np.uint8)
    assert (restore_contrast(example(flat, 50.0)) == flat).all()


def test_sheets(found):
    images = [np.full((4, 4, 3), (40 * k, 0, 0), np.uint8) for k in range(1, 6)]
    average = np.full((4, 4, 3), (0, 0, 200), np.uint8)
    page = contact_sheet(example(average, 0.0, images), side=20, gap=2)
    assert page.size == (3 * 22 + 20, 42)
    assert [page.getpixel((5 + 22 * k, 5)) for k in range(3)] == [(40, 0, 0), (80, 0, 0), (120, 0, 0)]
    assert [page.getpixel((5 + 22 * k, 30)) for k in range(3)] == [(160, 0, 0), (200, 0, 0), (255, 255, 255)]
    assert page.getpixel((70, 5)) == (0, 0, 200)
    assert page.getpixel((70, 30)) == (255, 255, 255)


def test_small_images_are_enlarged_by_whole_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    assert (np.asarray(resize_square(pixels, 12)) == pixels.repeat(3, 0).repeat(3, 1)).all()
    assert resize_square(np.zeros((40, 40, 3), np.uint8), 12).size == (12, 12)


def test_small_images_come_back_to_the_bit_and_large_ones_nearly():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (64, 40, 3), np.uint8)
    assert (EncodedImage.encode(small).pixels == small).all()
    large = np.asarray(resize_square(small[:8, :8], 96).resize((128, 128)))
    image = EncodedImage.encode(large)
    assert image.pixels.shape == large.shape
    assert abs(image.pixels.astype(int) - large).mean() < 6
    assert len(image.data) < large.size / 5
    assert replace(image) == image
