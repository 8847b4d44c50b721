"""How images become the network's input, against a literal transcription."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vebi.errors import ImageError, UsageError
from vebi.models.preprocess import Preprocess

RGB = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.25, 1.0)}


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def literal_crop(image: Image.Image, size: int, resize: int) -> Image.Image:
    """Scale the shorter side to ``resize``, then crop the middle."""
    short = min(image.size)
    width, height = (round(side * resize / short) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 20))
def test_pixels_are_scaled_and_cropped(width, height, size, more):
    image = noise(width, height)
    pixels = Preprocess(size, **RGB, resize=size + more).pixels(image)
    assert pixels.shape == (size, size, 3)
    difference = np.abs(pixels.astype(int) - np.asarray(literal_crop(image, size, size + more)))
    assert difference.max() <= 2  # each of the two directions is rounded to 8 bits


def test_an_image_of_the_right_size_is_left_as_it_is():
    assert np.array_equal(Preprocess(32, **RGB).pixels(noise(32, 32)), noise(32, 32))
    assert np.array_equal(Preprocess(32, **RGB).pixels(noise(40, 32)), np.asarray(noise(40, 32))[:, 4:36])


def test_a_long_thin_image_is_never_scaled_as_a_whole(monkeypatch):
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda im, size, *a, **k: sizes.append(size) or resize(im, size, *a, **k)
    )
    Preprocess(64, **RGB).prepare(noise(2, 3000))
    assert sizes == [(64, 64)]


def test_prepared_values():
    image = Image.new("RGB", (4, 4), (255, 0, 51))
    prepared = Preprocess(4, **RGB).prepare(image)
    # (1 - 0.5) / 0.5, (0 - 0.25) / 0.25, 0.2
    assert torch.allclose(prepared, torch.tensor([1.0, -1.0, 0.2]).view(3, 1, 1).expand(3, 4, 4))
    assert (Preprocess(4, **RGB).to_rgb_uint8(prepared) == (255, 0, 51)).all()


def test_a_network_for_grey_images():
    preprocess = Preprocess(4, (0.5,), (0.5,))
    prepared = preprocess.prepare(Image.new("RGB", (4, 4), (255, 255, 255)))
    assert prepared.shape == (1, 4, 4)
    assert (prepared == 1).all()
    assert preprocess.to_rgb_uint8(prepared).shape == (4, 4, 3)


def test_tensors_are_taken_as_ready():
    preprocess = Preprocess(4, **RGB)
    ready = torch.randn(3, 4, 4, dtype=torch.float64)
    assert torch.equal(preprocess.prepare(ready), ready.float())
    with pytest.raises(ImageError, match=r"item 7 .*\(3, 4, 5\).* \(3, 4, 4\)"):
        preprocess.prepare(torch.zeros(3, 4, 5), "item 7")
    with pytest.raises(ImageError, match="NaN"):
        preprocess.prepare(torch.full((3, 4, 4), torch.nan))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 8, "resize": 7},
        {"mean": (0.5, 0.5)},
        {"mean": (0.5,)},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.5, float("nan"), 0.5)},
        {"std": (1.0, float("inf"), 1.0)},
        {"mean": (), "std": ()},
    ],
)
def test_values_that_are_not_allowed(wrong):
    with pytest.raises(UsageError, match=r"size|mean|std"):
        Preprocess(**dict(size=8, **RGB) | wrong)


def test_what_is_written_is_read():
    for preprocess in (Preprocess(8, **RGB, resize=9, interpolation="lanczos"), Preprocess(8, (0.5,), (2.0,))):
        fields = json.loads(json.dumps(preprocess.to_dict()))
        assert Preprocess.from_dict(fields) == preprocess
    with pytest.raises(KeyError):
        Preprocess.from_dict({"size": 8, "mean": [0.5]})
    with pytest.raises(TypeError):
        Preprocess.from_dict(fields | {"crop": 7})
