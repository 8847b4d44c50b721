"""Crops are taken where a feature fires, aligned, and averaged without what lies outside the image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vebi.activations.layers import Feature, choose_layers
from vebi.activations.table import tabulate
from vebi.data.collections import DatasetImages
from vebi.interpretation import exemplars
from vebi.interpretation.contact_sheet import contact_sheet, resize_square, restore_contrast
from vebi.interpretation.exemplars import PADDING, Exemplar, consistency, find_exemplars, padded_crop
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


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


def red_at(y, x, ground=30, size=24):
    """A red square of 5 x 5 around (y, x) on grey, cut off at the border."""
    pixels = np.full((size, size, 3), ground, np.uint8)
    pixels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = (255, 0, 0)
    return pixels


@pytest.fixture
def found(tmp_path):
    def find(images, columns=(0,), batch_size=3, network=None):
        classifier = Classifier((network or RedSquare()).eval(), Preprocess(24, (0.0,) * 3, (1.0,) * 3), ("a", "b"))
        collection = DatasetImages([(image, 0) for image in images], ("a", "b"))
        table = tabulate(classifier, collection, choose_layers(classifier), tmp_path)
        return find_exemplars(classifier, collection, table, list(columns), batch_size=batch_size)

    return find


def test_crops_are_aligned_where_the_feature_fires(found):
    places = [(4, 6), (12, 8), (20, 2), (10, 20)]
    (e,) = found([red_at(*p) for p in places] + [np.full((24, 24, 3), 30, np.uint8)])
    assert str(e.feature) == "relu:0"
    assert e.count == 4
    assert e.crops.shape == (4, 5, 5, 3)
    assert sorted(e.image_ids) == ["0", "1", "2", "3"]
    assert (e.crops == (255, 0, 0)).all()
    assert (e.average == (255, 0, 0)).all()


def test_the_strongest_come_first_and_batches_do_not_matter(found):
    network = RedSquare()
    torch.nn.init.constant_(network.conv.bias[1:], 1.0)  # fires everywhere, so that the other one's share differs
    shades = [30, 0, 15, 40, 8]  # green in the red: the more, the weaker
    images = [red_at(8, 8) for _ in shades]
    for image, shade in zip(images, shades, strict=True):
        image[image[..., 0] == 255, 1] = shade
    (one,) = found(images, batch_size=1, network=network)
    (e,) = found(images, batch_size=4, network=network)
    assert e.image_ids == one.image_ids == tuple(str(i) for i in np.argsort(shades))
    assert e.crops[:, 2, 2, 1].tolist() == sorted(shades)
    assert (e.average == one.average).all()
    assert (e.average[2, 2] == (255, round(sum(shades) / 5), 0)).all()


def test_what_lies_outside_does_not_count(found):
    """One of two squares lies in the corner: its field is half outside, and the average is of what was seen."""
    corner = np.full((24, 24, 3), 30, np.uint8)
    corner[:5, :5] = (255, 0, 0)
    inside = red_at(12, 12)
    weak = RedSquare()
    with torch.no_grad():
        weak.conv.bias[0] = -6.0  # also fires for a part of a square
        weak.conv.weight[0, 0] = torch.tensor([0.0, 0, 1, 1, 1])  # most at the corner itself
        weak.conv.weight[0, 0, :2] = 0
    (e,) = found([inside, corner], network=weak)
    peak_crops = dict(zip(e.image_ids, e.crops, strict=True))
    outside = (peak_crops["1"] == PADDING).all(axis=2)
    assert e.count == 2
    assert outside.any()
    assert (e.average[outside] == peak_crops["0"][outside]).all()
    both = ~outside
    expected = (peak_crops["0"].astype(int) + peak_crops["1"])[both] / 2
    assert abs(e.average[both] - expected).max() <= 0.5


def test_a_field_larger_than_the_image_is_aligned_too(found):
    class Deep(RedSquare):
        """Sees everything from everywhere, but fires where the square is."""

        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(2, 2, 23, padding=11)
            with torch.no_grad():
                self.wide.weight.zero_()
                self.wide.weight[0, 0, 11, 11] = 1
                self.wide.bias.zero_()

        def forward(self, x):
            return self.relu(self.wide(self.conv(x) + 20)).sum((2, 3))

    (e,) = found([red_at(6, 8), red_at(16, 14), red_at(12, 4)], network=Deep())
    assert e.crops.shape == (3, 24, 24, 3)
    red = (e.crops == (255, 0, 0)).all(axis=3)
    assert (red == red[0]).all()
    assert red[0].sum() == 25
    assert abs(np.argwhere(red[0]).mean(axis=0) - 11.5).max() <= 1  # the middle, as near as positions allow
    assert (e.average[red[0]] == (255, 0, 0)).all()
    assert (e.crops[:, 0] == PADDING).all(axis=(1, 2)).any()


def test_the_classes_of_the_images_are_counted(found):
    class Judge(RedSquare):
        """Takes a image with red in its upper half for b."""

        def forward(self, x):
            super().forward(x)
            return torch.stack([torch.full((len(x),), 0.1), (x[:, 0, :12] - x[:, 1, :12]).amax((1, 2))], dim=1)

    (e,) = found([red_at(4, 6), red_at(20, 8), red_at(6, 10)], network=Judge())
    assert e.predicted == {"b": 2, "a": 1}
    assert list(e.predicted) == ["b", "a"]


def test_where_few_crops_have_a_image_the_average_fades_into_the_padding(found):
    corner = np.full((24, 24, 3), 30, np.uint8)
    corner[:5, :5] = (255, 0, 0)
    weak = RedSquare()
    with torch.no_grad():
        weak.conv.bias[0] = -6.0
        weak.conv.weight[0, 0] = torch.tensor([0.0, 0, 1, 1, 1])
        weak.conv.weight[0, 0, :2] = 0
    (e,) = found([corner] * 7 + [red_at(12, 12)], network=weak)
    outside = (e.crops[list(e.image_ids).index("0")] == PADDING).all(axis=2)
    whole = e.crops[list(e.image_ids).index("7")]
    assert outside.any()  # one crop of eight has a image there: a quarter of half of them
    assert abs(e.average[outside] - (0.25 * whole[outside] + 0.75 * PADDING)).max() <= 0.5
    assert not (e.average[~outside] == PADDING).all(axis=1).any()


def test_consistency_is_the_mean_cosine_of_all_pairs():
    rng = np.random.default_rng(0)
    crops, others = rng.integers(0, 256, (2, 9, 4, 5, 3), np.uint8)
    away = [(crop - others.mean(axis=0)).ravel() for crop in crops]
    cosines = [a @ b / np.sqrt(a @ a * (b @ b)) for i, a in enumerate(away) for b in away[:i]]
    assert consistency(crops, others) == pytest.approx(np.mean(cosines))


def test_consistency_at_its_ends():
    rng = np.random.default_rng(0)
    noise, others = rng.integers(0, 256, (2, 60, 6, 6, 3), np.uint8)
    assert consistency(np.repeat(noise[:1], 60, axis=0), others) == pytest.approx(1)
    assert consistency(noise, others) == pytest.approx(0, abs=0.05)
    assert consistency(others, others) == pytest.approx(-1 / 59, abs=0.01)
    faint = (others.mean(axis=0) + 0.4 * (noise[0] - others.mean(axis=0))).round().astype(np.uint8)
    assert consistency(np.stack([noise[0], faint]), others[:2].repeat(2, 0)[::2]) > 0.5  # contrast does not count
    assert consistency(np.full_like(noise, 7), np.full_like(noise, 7)) == 0  # nothing to be told from


def test_crops_that_are_all_the_same_are_wholly_consistent(found):
    grounds = np.random.default_rng(0).integers(0, 90, (20, 24, 24, 3), np.uint8)
    (e,) = found([red_at(4, 6), red_at(12, 8), red_at(10, 10), *grounds])
    assert e.count == 3
    assert e.consistency == pytest.approx(1)


def test_crops_of_a_feature_that_sees_nothing_are_as_different_as_any(found):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (24, 24, 3), np.uint8) for _ in range(12)]
    network = RedSquare()
    torch.nn.init.zeros_(network.conv.weight)
    torch.nn.init.ones_(network.conv.bias)
    (same,) = found(images, network=network)
    assert abs(same.consistency) < 0.3


def test_one_crop_alone_is_like_nothing(found):
    (e,) = found([red_at(8, 8), np.full((24, 24, 3), 30, np.uint8)])
    assert e.count == 1
    assert e.consistency is None


def test_counts(found, monkeypatch):
    monkeypatch.setattr(exemplars, "TOP", 7)
    monkeypatch.setattr(exemplars, "SHOWN", 4)
    (e,) = found([red_at(4, 4 + 2 * (i % 8)) for i in range(10)])
    assert e.count == 7
    assert len(e.crops) == len(e.image_ids) == 4


def test_a_feature_that_never_fires(found):
    fires, silent = found([red_at(8, 8), red_at(4, 4)], columns=(0, 1))
    assert fires.count == 2
    assert silent.count == 0
    assert silent.crops.shape == (0, 5, 5, 3)
    assert (silent.average == PADDING).all()
    assert contact_sheet(silent).size[1] == contact_sheet(fires).size[1]


def test_nothing_selected(found):
    assert found([red_at(8, 8)], columns=()) == []


def test_numbers_without_positions_show_the_whole_image(found):
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            return torch.relu(self.linear(x.mean((2, 3))).abs())

    images = [red_at(4, 4), red_at(20, 20)]
    (e,) = found(images, network=Flat())
    assert e.crops.shape == (2, 24, 24, 3)
    assert (e.average == np.mean(images, axis=0).round()).all()


def test_a_network_that_changes_its_input_in_place(found):
    class Greedy(RedSquare):
        def forward(self, x):
            return super().forward(x.mul_(0.95))

    (e,) = found([red_at(8, 8)], network=Greedy())
    assert (e.crops == (255, 0, 0)).all()


def test_contrast_is_given_back_but_no_colour():
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (8, 6, 6, 3), np.uint8)
    average = np.full((6, 6, 3), (120, 60, 30), np.uint8)
    average[:3] += 6
    weak = Exemplar(Feature("a", 0), 8, (), None, {}, average, crops)
    shown = restore_contrast(weak).astype(int)
    assert (shown[0, 0] - shown[5, 5]).tolist() == [12, 12, 12]  # twice as far apart, and no more
    assert shown.mean(axis=(0, 1)) == pytest.approx(average.mean(axis=(0, 1)), abs=0.5)
    assert (restore_contrast(replace(weak, crops=average[None])) == average).all()  # single crops have no more contrast
    assert (restore_contrast(replace(weak, crops=crops[:0])) == average).all()


@pytest.mark.parametrize("corner", [(-2, 3), (3, -2), (4, 4), (-9, 0), (0, 30), (6, 6)])
def test_padded_crop(corner):
    image = np.random.default_rng(0).integers(0, 200, (8, 8, 3), np.uint8)
    crop, inside = padded_crop(image, corner, (4, 5))
    assert crop.shape == (4, 5, 3)
    assert inside.shape == (4, 5, 1)
    for i in range(4):
        for j in range(5):
            y, x = corner[0] + i, corner[1] + j
            seen = 0 <= y < 8 and 0 <= x < 8
            assert inside[i, j, 0] == seen
            assert (crop[i, j] == (image[y, x] if seen else PADDING)).all()


def test_sheets(found):
    (e,) = found([red_at(4, 4 + 2 * i) for i in range(9)])
    page = contact_sheet(e, side=20, gap=2)
    assert page.size == (42 + 5 * 22, 42)
    assert page.getpixel((5, 5)) == (255, 0, 0)
    assert page.getpixel((42, 20)) == (255, 255, 255)
    assert page.getpixel((44, 1)) == (255, 0, 0)
    assert page.getpixel((44 + 4 * 22, 41)) == (255, 255, 255)


def test_small_crops_are_enlarged_by_whole_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    assert (np.asarray(resize_square(pixels, 12)) == pixels.repeat(3, 0).repeat(3, 1)).all()
    assert resize_square(np.zeros((40, 40, 3), np.uint8), 12).size == (12, 12)
