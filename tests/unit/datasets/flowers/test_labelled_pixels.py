import numpy as np
import torch

from vebi.datasets.flowers.labelled_pixels import LabelledPixels
from vebi.models.preprocess import Preprocess


def shifted_copies(image, most_down, most_right):
    """All that an image (H, W, C) can become, by whether it is mirrored and how far it is shifted."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((most_down, most_down), (most_right, most_right), (0, 0)), mode="reflect")
    for down in range(-most_down, most_down + 1):
        for right in range(-most_right, most_right + 1):
            copy = padded[most_down + down :, most_right + right :][:height, :width]
            yield (False, down, right), copy
            yield (True, down, right), copy[:, ::-1]


def test_varied_inputs_are_mirrored_and_shifted_images():
    pixels = torch.randint(0, 256, (3, 28, 42, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = LabelledPixels(pixels, torch.arange(3), Preprocess(28, (0.5,) * 3, (0.25,) * 3))
    indices = torch.tensor([2, 0, 1] * 40)
    inputs = data.varied_inputs(indices, np.random.default_rng(0))
    assert inputs.shape == (120, 3, 28, 42)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    copies = [{copy.tobytes(): change for change, copy in shifted_copies(image, 2, 3)} for image in pixels.numpy()]
    varied = ((inputs * 0.25 + 0.5) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    changes = [copies[int(index)][image.tobytes()] for index, image in zip(indices, varied, strict=True)]
    mirrored, down, right = map(set, zip(*changes, strict=True))
    assert mirrored == {False, True}
    assert down == set(range(-2, 3))
    assert right == set(range(-3, 4))
