"""The window where a feature fires, how it is cut, and its light."""

import numpy as np
import pytest

from vebi.backprop.receptive_field import ReceptiveField
from vebi.interpretation.firing import Window, cut, firing_window, light_of, light_up, show

#: 8 x 8 positions, 8 pixels apart, that see 12 pixels each: position p looks at pixel 8 p + 4.
FIELD = ReceptiveField((-2.0, -2.0), (8.0, 8.0), (12, 12))


def spot(y, x, rows=1, columns=1, elsewhere=0.0):
    activation = np.full((8, 8), elsewhere)
    activation[y : y + rows, x : x + columns] = 1.0
    return activation


def test_a_window_is_as_large_as_the_spot_and_around_it():
    assert firing_window(spot(3, 5), FIELD, 64) == Window(28 - 12, 44 - 12, 24)
    assert firing_window(spot(2, 2, rows=3), FIELD, 64).side == 40
    assert firing_window(spot(0, 0, 8, 8), FIELD, 64).side == 64  # at most the whole image
    assert firing_window(np.ones((1, 1)), FIELD, 64) == Window(0, 0, 64)


def test_the_middle_of_the_spot_counts_and_not_its_highest_position():
    activation = spot(2, 2, rows=3, columns=3)
    activation[2, 2] = 1.5
    assert firing_window(activation, FIELD, 64) == firing_window(spot(2, 2, rows=3, columns=3), FIELD, 64)


def test_other_spots_and_what_is_weaker_than_half_do_not_count():
    two = spot(1, 1)
    two[6, 6] = 0.9
    assert firing_window(two, FIELD, 64) == firing_window(spot(1, 1), FIELD, 64)
    assert firing_window(spot(1, 1, elsewhere=0.49), FIELD, 64) == firing_window(spot(1, 1), FIELD, 64)
    assert firing_window(spot(1, 1, elsewhere=0.51), FIELD, 64).side == 64
    assert firing_window(-spot(1, 1), FIELD, 64) == firing_window(spot(1, 1), FIELD, 64)  # its square is what counts


def test_a_window_is_not_smaller_than_can_be_seen():
    fine = ReceptiveField((0.0, 0.0), (1.0, 1.0), (3, 3))
    assert firing_window(np.eye(1, 60).reshape(1, 60), fine, 60).side == 16
    assert firing_window(np.eye(8), fine, 10).side == 10


def test_windows_move_inside():
    assert Window(-5, 30, 20).moved_inside(40) == Window(0, 20, 20)
    assert Window(-5, 30, 90).moved_inside(40) == Window(0, 0, 40)
    assert Window(10, 12, 8).doubled() == Window(6, 8, 16)


def test_a_cut_inside_is_the_part_itself():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    pixels, weights = cut(image, Window(5, 7, 16), 16)
    assert (pixels == image[5:21, 7:23]).all()
    assert (weights == 1).all()


def test_a_cut_fades_towards_the_outside():
    pixels, weights = cut(np.full((40, 40, 3), 90, np.uint8), Window(-8, 4, 16), 16)
    assert (pixels == 90).all()
    assert (weights[:8] == 0).all()
    assert (np.diff(weights[7:, 0]) >= 0).all()
    assert 0 < weights[8, 0] < 0.5
    assert weights[-1, 0] == 1


@pytest.mark.parametrize("place", [(1, 1), (3, 6), (7, 0)])
def test_the_light_stands_where_the_position_looks(place):
    image = np.full((64, 64, 3), (200, 100, 0), np.uint8)
    lit = light_up(image, light_of(spot(*place), FIELD, 64)).astype(int)
    colored = lit[..., 0] - lit[..., 2]
    y, x = (8 * p + 4 for p in place)
    assert abs(np.argwhere(colored == colored.max()).mean(axis=0) + 0.5 - (y, x)).max() <= 4.5
    assert colored.max() > 180
    far = np.hypot(*(np.indices((64, 64)) - np.reshape((y, x), (2, 1, 1)))) > 12
    assert (colored[far] == 0).all()


def test_a_small_window_is_shown_twice_as_large_and_inside():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:16, :16] = 250
    assert (show(image, Window(-4, -4, 8), 16) == 250).all()


def test_what_has_no_positions_or_never_fires_is_lit_everywhere():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for activation in (np.ones((1, 1)), np.zeros((8, 8))):
        assert (light_up(image, light_of(activation, FIELD, 16)) == image).all()


def test_a_soft_light_falls_off_more_slowly():
    image = np.full((64, 64, 3), (200, 100, 0), np.uint8)
    hard, soft = (light_up(image, light_of(spot(3, 3), FIELD, 64), softness).astype(int) for softness in (1.0, 3.0))
    colored = [(lit[..., 0] - lit[..., 2]) for lit in (hard, soft)]
    assert (colored[1] >= colored[0]).all()
    assert colored[1].sum() > 1.2 * colored[0].sum()
    assert 180 < colored[0].max() <= colored[1].max() <= 200
