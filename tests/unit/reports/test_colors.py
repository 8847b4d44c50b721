"""Colours of heatmaps: the ramp, and maps laid over images."""

import numpy as np

from vebi.reports.colors import RAMP, colourize, overlay


def test_colours_run_from_dark_to_bright():
    strip = colourize(np.linspace(0, 1, 50)[None])
    lightness = strip[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert strip.shape == (1, 50, 3)
    assert strip.dtype == np.uint8
    assert (np.diff(lightness) > 0).all()
    assert tuple(strip[0, 0]) == RAMP[0]
    assert tuple(strip[0, -1]) == RAMP[-1]


def test_steps_of_the_colours_look_alike():
    """Distances in OKLab (Ottosson 2020), which is made so that equal ones look equal."""
    colours = colourize(np.linspace(0, 1, 64)[None])[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    cones = linear @ [[0.4122, 0.2119, 0.0883], [0.5363, 0.6807, 0.2817], [0.0514, 0.1074, 0.63]]
    lab = np.cbrt(cones) @ [[0.2105, 1.978, 0.0259], [0.7936, -2.4286, 0.7828], [-0.0041, 0.4506, -0.8087]]
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert abs(steps / steps.mean() - 1).max() < 0.15
    assert (np.diff(lab[:, 0]) > 0).all()


def test_the_brightest_is_the_highest_whatever_lies_below():
    ground = np.repeat(np.array([[0, 128, 255]], np.uint8)[..., None], 3, axis=2)
    light = [overlay(ground, np.full((1, 3), h)) @ np.array([0.2126, 0.7152, 0.0722]) for h in (0.0, 0.6, 0.8, 1.0)]
    assert (np.diff(np.concatenate(light), axis=0) > 0).all()
    assert light[0].max() < 90
    assert light[3].min() > 200


def test_overlay():
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    heat = np.zeros((6, 9))
    heat[2, 3] = 1
    page = overlay(image, heat)
    assert page.shape == (6, 9, 3)
    assert page.dtype == np.uint8
    rest = np.delete(page.reshape(-1, 3), 2 * 9 + 3, axis=0)
    assert (rest == rest[:, :1]).all()  # grey where nothing is shown
    assert abs(page[2, 3].astype(int) - RAMP[-1]).max() < 40
    assert (overlay(image, heat, strength=0.0) == overlay(image, np.zeros((6, 9)))).all()
