"""Maps of the image alone against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from vebi.methods import Explainer
from vebi.methods.image_cues import BorderDistance, Centre, Edges, RandomBlob, Saturation, Sharpness, Silhouette
from vebi.models.preprocess import Preprocess

RGB = Preprocess(32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
GREY = Preprocess(32, (0.4,), (0.3,))
KINDS = [Saturation, BorderDistance, Silhouette, Edges, Sharpness, RandomBlob, lambda _: Centre()]
every = pytest.mark.parametrize("kind", KINDS)


def prepared(pixels, preprocess=RGB):
    return preprocess.prepare(Image.fromarray(np.asarray(pixels, np.uint8)))[None]


def map_of(cue, pixels, preprocess=RGB):
    (one,) = cue(preprocess)(prepared(pixels, preprocess), torch.tensor([0]))
    return one


def plane(colour, size=32):
    return np.full((size, size, 3), colour)


@pytest.fixture
def photographs():
    """Discs of noise on grounds of noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    pixels = rng.normal(90, 15, (6, 32, 32, 3))
    for one, (a, b) in zip(pixels, rng.integers(10, 22, (6, 2)), strict=True):
        one[(y - a) ** 2 + (x - b) ** 2 < 50] += (120, -60, 30)
    return torch.cat([prepared(one.clip(0, 255)) for one in pixels])


# --- what all of them promise -----------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_map_per_image(photographs, kind, dtype):
    explain = kind(RGB)
    images = photographs.to(dtype)
    assert isinstance(explain, Explainer)
    maps = explain(images.requires_grad_(), torch.zeros(6, dtype=torch.int32))
    assert maps.shape == (6, 32, 32)
    assert maps.dtype == dtype
    assert not maps.requires_grad
    assert maps.isfinite().all()
    assert (maps >= 0).all()
    assert (maps.amax((1, 2)) > maps.amin((1, 2))).all()
    assert explain(images[:, :, :24, :20], torch.zeros(6, dtype=torch.int64)).shape == (6, 24, 20)


@every
def test_a_map_is_of_its_image_alone(photographs, kind):
    """Whatever the other images, the place in the batch and the targets."""
    explain, targets = kind(RGB), torch.arange(6)
    together = explain(photographs, targets)
    for i in range(6):
        assert torch.equal(explain(photographs[i : i + 1], targets[:1])[0], together[i])
    order = torch.tensor([4, 1, 5, 1, 0])
    assert torch.equal(kind(RGB)(photographs[order], targets[:5]), together[order])


@every
def test_one_channel(photographs, kind):
    """A grey image is seen as one of three equal channels."""
    grey = (photographs[:, :1] * 0.25 + 0.5 - 0.4) / 0.3
    as_rgb = torch.cat([(grey * 0.3 + 0.4 - m) / s for m, s in zip(RGB.mean, RGB.std, strict=True)], dim=1)
    targets = torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(kind(GREY)(grey, targets), kind(RGB)(as_rgb, targets))


# --- one by one -------------------------------------------------------------------------------------------------------


def test_saturation():
    pixels = plane((10, 60, 40))
    pixels[3, 4] = (255, 0, 128)
    pixels[5, 6] = (7, 7, 7)
    one = map_of(Saturation, pixels)
    assert one[0, 0].item() == pytest.approx(50 / 255)
    assert one[3, 4].item() == 1
    assert one[5, 6].item() == 0


def test_saturation_of_grey_is_zero():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32))
    assert not map_of(Saturation, pixels, GREY).any()
    assert map_of(Edges, pixels, GREY).any()


def test_border_distance():
    """Of the median of each channel over the outermost pixels, not over those within."""
    pixels = plane((200, 0, 0))
    pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1] = (np.array((50, 100, 150)),) * 4
    pixels[0, 5:12] = (255, 255, 255)
    pixels[9, 9] = (53, 104, 150)
    one = map_of(BorderDistance, pixels)
    assert one[0, 0] == 0
    assert one[9, 9].item() == pytest.approx(5 / 255)
    assert one[4, 4].item() == pytest.approx(math.dist((50, 100, 150), (200, 0, 0)) / 255)


def test_silhouette():
    """An object is parted from a ground that is not quite even, and what it surrounds is its own."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(100, 110, (32, 32, 3))
    pixels[6:20, 8:26] = rng.integers(180, 200, (14, 18, 3))
    pixels[10:14, 12:18] = 105  # a hole
    expected = torch.zeros(32, 32)
    expected[6:20, 8:26] = 1
    assert torch.equal(map_of(Silhouette, pixels), expected)
    assert not map_of(Silhouette, plane((9, 9, 9))).any()


def test_edges_written_out():
    pixels = np.random.default_rng(2).integers(0, 256, (32, 32, 3))
    luminance = (0.299 * pixels[..., 0] + 0.587 * pixels[..., 1] + 0.114 * pixels[..., 2]) / 255
    padded = np.pad(luminance, 1, mode="symmetric")
    magnitude = np.zeros((32, 32))
    for i in range(32):
        for j in range(32):
            part = padded[i : i + 3, j : j + 3]
            down = (part[2] - part[0]) @ (1, 2, 1)
            right = (part[:, 2] - part[:, 0]) @ (1, 2, 1)
            magnitude[i, j] = math.sqrt(down**2 + right**2)
    side = math.exp(-0.5 * (112 / 32) ** 2)  # of a Gaussian of 32 / 112 pixels, one pixel away
    kernel = np.array([side, 1, side]) / (1 + 2 * side)
    padded, blurred = np.pad(magnitude, 1, mode="symmetric"), np.zeros((32, 32))
    for i in range(32):
        for j in range(32):
            blurred[i, j] = kernel @ padded[i : i + 3, j : j + 3] @ kernel
    np.testing.assert_allclose(map_of(Edges, pixels), blurred, rtol=1e-5, atol=1e-6)


def test_centre():
    maps = Centre()(torch.zeros(2, 3, 8, 16), torch.tensor([0, 1]))
    assert torch.equal(maps[0], maps[1])
    for i, j in [(0, 0), (3, 9), (7, 2)]:
        down, right = (i + 0.5 - 4) / 2, (j + 0.5 - 8) / 4  # in standard deviations, 1/4 of each side
        assert maps[0, i, j].item() == pytest.approx(math.exp(-(down**2 + right**2) / 2))


def test_random_blob():
    """Of any place and size, drawn by the colours and the seed."""
    images = torch.cat([prepared(plane((i, j, 77))) for i in range(20) for j in range(20)])
    targets = torch.zeros(400, dtype=torch.int64)
    maps = RandomBlob(RGB)(images, targets)
    peaks = maps.flatten(1).argmax(dim=1)
    rows, columns = peaks // 32, peaks % 32
    for places in (rows, columns):
        counts = torch.bincount(places // 8, minlength=4)
        assert (counts > 70).all()  # of about 100 in each quarter
    spread = maps.mean(dim=(1, 2))
    assert spread.min() < 0.03  # 2 pi / 16^2 is 0.025
    assert spread.max() > 0.3  # 2 pi / 4^2 is 0.393
    assert torch.equal(maps, RandomBlob(RGB)(images, targets))
    others = RandomBlob(RGB, seed=1)(images, targets)
    assert ((maps - others).abs().amax(dim=(1, 2)) > 0.05).float().mean() > 0.95


def test_sharpness_is_where_the_image_is_in_focus():
    """A fine checkerboard beside an even half of the same mean."""
    colours = np.full((64, 64, 3), 0.5)
    colours[:, :32] = (np.indices((64, 32)).sum(axis=0) % 2)[..., None]
    sharpness = Sharpness(RGB).cue(colours)
    assert sharpness[:, :24].min() > 4 * sharpness[:, 40:].max()
    assert not Sharpness(RGB).cue(np.full((64, 64, 3), 0.3)).any()
