import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from vebi.errors import ImageError, ModelError, UsageError
from vebi.models.classifier import Classifier, evaluating
from vebi.models.preprocess import Preprocess

RGB = dict(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def literal_cut(image: Image.Image, size: int, resize: int) -> Image.Image:
    """Scale the shorter side to ``resize``, then cut out the middle."""
    short = min(image.size)
    width, height = (round(side * resize / short) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 20))
def test_pixels_are_scaled_and_cut(width, height, size, more):
    image = noise(width, height)
    pixels = Preprocess(size, **RGB, resize=size + more).pixels(image)
    assert pixels.shape == (size, size, 3)
    difference = np.abs(pixels.astype(int) - np.asarray(literal_cut(image, size, size + more)))
    assert difference.max() <= 2  # each of the two directions is rounded to 8 bits


def test_a_picture_of_the_right_size_is_left_as_it_is():
    assert np.array_equal(Preprocess(32, **RGB).pixels(noise(32, 32)), noise(32, 32))
    assert np.array_equal(Preprocess(32, **RGB).pixels(noise(40, 32)), np.asarray(noise(40, 32))[:, 4:36])


def test_a_long_thin_picture_is_never_scaled_as_a_whole(monkeypatch):
    asked = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda im, size, *a, **k: asked.append(size) or resize(im, size, *a, **k)
    )
    Preprocess(64, **RGB).prepare(noise(2, 3000))
    assert asked == [(64, 64)]


def test_prepared_values():
    image = Image.new("RGB", (4, 4), (255, 0, 51))
    prepared = Preprocess(4, **RGB).prepare(image)
    # (1 - 0.5) / 0.5, (0 - 0.25) / 0.25, 0.2
    assert torch.allclose(prepared, torch.tensor([1.0, -1.0, 0.2]).view(3, 1, 1).expand(3, 4, 4))
    assert (Preprocess(4, **RGB).picture(prepared) == (255, 0, 51)).all()


def test_a_network_for_grey_pictures():
    preprocess = Preprocess(4, (0.5,), (0.5,))
    prepared = preprocess.prepare(Image.new("RGB", (4, 4), (255, 255, 255)))
    assert prepared.shape == (1, 4, 4) and (prepared == 1).all()
    assert preprocess.picture(prepared).shape == (4, 4, 3)


def test_tensors_are_taken_as_ready():
    preprocess = Preprocess(4, **RGB)
    ready = torch.randn(3, 4, 4, dtype=torch.float64)
    assert torch.equal(preprocess.prepare(ready), ready.float())
    with pytest.raises(ImageError, match=r"item 7 is a tensor of shape \(3, 4, 5\), but the network takes \(3, 4, 4\)"):
        preprocess.prepare(torch.zeros(3, 4, 5), "item 7")
    with pytest.raises(ImageError, match="NaN"):
        preprocess.prepare(torch.full((3, 4, 4), torch.nan))


@pytest.mark.parametrize(
    "wrong",
    [
        dict(size=0),
        dict(size=8, resize=7),
        dict(mean=(0.5, 0.5)),
        dict(mean=(0.5,)),
        dict(std=(1.0, 0.0, 1.0)),
        dict(mean=(0.5, float("nan"), 0.5)),
        dict(std=(1.0, float("inf"), 1.0)),
        dict(mean=(), std=()),
    ],
)
def test_preparations_that_cannot_be(wrong):
    with pytest.raises(UsageError, match="size|mean"):
        Preprocess(**dict(size=8, **RGB) | wrong)


class Gives(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((torch.zeros(1, 3),), "gives tuple"),
        ({"logits": torch.zeros(1, 3)}, "gives dict"),
        (torch.zeros(1, 3, 2, 2), r"shape \(1, 3, 2, 2\)"),
        (torch.zeros(1), r"shape \(1,\)"),
        (torch.zeros(2, 3), r"shape \(2, 3\)"),
        (torch.zeros(1, 1), r"shape \(1, 1\)"),
        (torch.tensor([[0, torch.nan, 0]]), "NaN"),
        (torch.tensor([[0, torch.inf, 0]]), "NaN or infinity"),
        (torch.zeros(1, 4), r"4 class scores, but 3 class names are known \(a, b, c\)"),
    ],
)
def test_scores_that_cannot_be_used(output, message):
    classifier = Classifier(Gives(output), Preprocess(4, **RGB), ("a", "b", "c"))
    with pytest.raises(ModelError, match=message):
        classifier.scores(classifier.blank())


def test_two_classes_of_one_name():
    with pytest.raises(UsageError, match="two classes are called 'b'"):
        Classifier(nn.Identity(), Preprocess(4, **RGB), ("a", "b", "b"))


def test_hash_is_of_all_weights():
    def make(seed=0, **changes):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        return Classifier(net, Preprocess(4, **RGB)), net

    (one, net), (two, other) = make(), make()
    before = one.hash()
    assert two.hash() == before != make(1)[0].hash()
    net.train()
    assert one.hash() == before
    other[1].running_mean[0] += 1  # a buffer
    assert two.hash() != before
    renamed = Classifier(nn.ModuleDict({"a": net[0], "b": net[1]}), one.preprocess)
    assert renamed.hash() != before


def test_evaluating_gives_back_every_mode():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    net[1].eval()
    with pytest.raises(KeyError):
        with evaluating(net):
            assert not any(part.training for part in net.modules())
            raise KeyError
    assert [part.training for part in net.modules()] == [True, True, False, False]
