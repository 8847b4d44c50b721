import sys

import numpy as np
import pytest

from vebi.datasets.flowers.background import draw_background
from vebi.datasets.flowers.placement import OVERSAMPLING, Placement, compose, draw_placement, outline
from vebi.datasets.flowers.plain import class_weights
from vebi.datasets.flowers.rendering import Shading, colour, render, shade
from vebi.datasets.flowers.scene import BASIS, PARTS, flower
from vebi.datasets.flowers.variants import classes
from vebi.errors import MissingExtraError


@pytest.fixture(scope="module")
def shading():
    return shade(flower(30), 96)


def disc(side, x, y, radius):
    """A hard white disc as a frame with coverage, and its labels; (right, down) in [-1, 1]."""
    at = (2 * np.arange(side) + 1) / side - 1
    inside = (at[None, :] - x) ** 2 + (at[:, None] - y) ** 2 < radius**2
    return np.repeat(inside[None], 4, axis=0).astype(np.float32), inside.astype(np.uint8)


@pytest.mark.parametrize("index", [0, 9])
def test_a_coloured_frame_equals_a_direct_render_with_those_albedos(shading, index):
    flower_class = classes("double-12c")[index]
    parts = flower(30)
    direct = render(parts, {name: mesh.weights @ class_weights(flower_class).T for name, mesh in parts.items()}, 96)
    assert np.abs(colour(shading, class_weights(flower_class)) - direct.transpose(2, 0, 1)).max() < 1e-4
    assert direct[..., :3].max() > 0.3


def test_two_renders_are_the_same_to_the_bit(shading):
    again = shade(flower(30), 96)
    assert (again.stack == shading.stack).all()
    assert (again.labels == shading.labels).all()


def test_labels_name_the_part_that_is_lit_there(shading):
    lit = shading.stack[: len(BASIS)] > 0
    covered = shading.stack[-1] > 0.99
    petal, leaf, fixed = lit[0] | lit[1], lit[2], lit[3] | lit[4] | lit[5]
    for name, shaded in (("petals", petal), ("leaves", leaf), ("centre", fixed), ("stem", fixed)):
        visible = (shading.labels == PARTS[name]) & covered
        assert visible.sum() > 20
        assert shaded[visible].mean() > 0.98, name
    assert (shading.stack >= 0).all()
    assert ((shading.labels > 0) == (shading.stack[-1] > 0.5)).mean() > 0.98


@pytest.mark.parametrize("frame", [0, 10, 22, 28, 39])
def test_every_frame_fits_its_canvas_and_shows_petals_and_leaves(frame):
    shading = shade(flower(frame), 64)
    edge = np.concatenate([shading.stack[-1][[0, -1]].ravel(), shading.stack[-1][:, [0, -1]].ravel()])
    assert (edge == 0).all()
    assert (shading.labels == PARTS["petals"]).sum() > 100
    assert (shading.labels == PARTS["leaves"]).sum() > 100


def test_a_placement_moves_turns_and_scales_as_it_says():
    frame, labels = disc(128, 0.5, 0.0, 0.2)
    black = np.zeros((64, 64, 3), dtype=np.float32)
    image, mask = compose(frame, labels, Placement(np.pi / 2, 0.5, (0.3, -0.1)), black)
    rows, columns = np.nonzero(mask)
    # a quarter turn anticlockwise takes right to up: (0.5, 0) -> (0, -0.5), halved and shifted
    assert abs((2 * columns.mean() + 1) / 64 - 1 - 0.3) < 0.02
    assert abs((2 * rows.mean() + 1) / 64 - 1 + 0.35) < 0.02
    assert abs(mask.sum() / (np.pi * (0.1 * 32) ** 2) - 1) < 0.15
    centre_of_light = (image[..., 0] / image[..., 0].sum() * np.arange(64)[None, :]).sum()
    assert abs(centre_of_light - columns.mean()) < 0.15


def test_image_and_mask_agree_without_any_placement():
    frame, labels = disc(64, -0.25, 0.25, 0.4)
    image, mask = compose(frame, labels, Placement(0.0, 1.0, (0.0, 0.0)), np.zeros((32, 32, 3), dtype=np.float32))
    assert (mask[image[..., 0] == 255] == 1).all()
    assert (mask[image[..., 0] == 0] == 0).all()
    assert (image == 255).any()


def test_a_drawn_placement_keeps_the_flower_inside_whatever_its_shape():
    wide = np.zeros((50, 50))
    wide[3:47, 10:40] = 1
    edge = outline(wide)
    angles = []
    for seed in range(200):
        placement = draw_placement(np.random.default_rng(seed), edge)
        moved = edge @ placement.matrix().T + placement.shift
        assert np.abs(moved).max() <= 0.98 + 1e-6
        assert abs(placement.angle) <= np.pi / 2
        assert placement.scale <= 1
        angles.append(placement.angle)
    assert np.ptp(angles) > 0.9 * np.pi


def test_the_outline_is_made_of_pixel_edges():
    coverage = np.zeros((10, 10))
    coverage[2:5, 3:9] = 0.5
    assert np.allclose(outline(coverage).min(axis=0), [-0.4, -0.6])
    assert np.allclose(outline(coverage).max(axis=0), [0.8, 0.0])


@pytest.mark.parametrize("kind", ["noise", "gradient"])
def test_backgrounds_vary_with_the_seed_and_stay_behind_the_flower(shading, kind):
    drawn = [draw_background(np.random.default_rng(seed), kind, 48) for seed in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()
    assert drawn[0].std() > 0.02
    assert drawn[0].min() >= 0
    assert drawn[0].max() <= 1
    frame = colour(shading, class_weights(classes("single-6c")[0]))
    still = Placement(0.0, 1.0, (0.0, 0.0))
    one, two = (compose(frame, shading.labels, still, drawn[k])[0] for k in (0, 2))
    full = shading.stack[-1].reshape(48, OVERSAMPLING, 48, OVERSAMPLING).min(axis=(1, 3)) == 1
    assert full.sum() > 100
    assert (one[full] == two[full]).all()
    assert (one[~full] != two[~full]).any()


def test_shading_is_plain_data(shading):
    assert isinstance(shading, Shading)
    assert shading.stack.shape == (len(BASIS) + 1, 96, 96)
    assert shading.stack.dtype == np.float32
    assert shading.labels.shape == (96, 96)
    assert shading.labels.dtype == np.uint8


def test_without_mitsuba_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingExtraError, match=r"mitsuba.*vebi\[flowers\]"):
        shade(flower(0), 16)
