import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vebi.benchmark.ground_truth import find_ground_truth
from vebi.data.sources import open_images
from vebi.datasets.masks import find_masks
from vebi.errors import InputError, UsageError, VebiWarning


def test_classes_get_equally_many_images_spread_evenly(truth, squares):
    assert truth.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert truth.correct.all()
    assert truth.labelled
    assert truth.images.ids[:4] == ["blue/00.png", "blue/08.png", "blue/15.png", "blue/23.png"]


def test_masks_and_inputs_belong_to_their_images(truth, masks):
    seen = 0
    for rows, inputs, targets in truth.batches(5):
        for offset, n in enumerate(range(rows.start, rows.stop)):
            mask = np.asarray(Image.open(masks / truth.images.ids[n])) > 0
            assert (truth.masks[n].numpy() == mask).all()
            # the square has the colour that the class is called after, and the ground has none
            colour = inputs[offset][:, truth.masks[n]].mean(dim=1)
            assert int(colour.argmax()) == {0: 2, 1: 1, 2: 0}[int(targets[offset])]
            assert torch.equal(inputs[offset], truth.inputs([n])[0])
            seen += 1
    assert seen == len(truth) == 12


def test_a_label_wins_over_a_prediction_and_a_flat_folder_asks_for_the_prediction(
    interpreted, squares, masks, tmp_path
):
    classifier = interpreted.classifier
    swapped = tmp_path / "swapped"
    shutil.copytree(squares / "blue", swapped / "red")
    shutil.copytree(squares / "green", swapped / "green")
    mask_of = find_masks(open_images(squares, interpreted.class_names), masks)
    selected = find_ground_truth(
        classifier, open_images(swapped, interpreted.class_names), lambda i: mask_of(i % 24), 3
    )
    assert selected.targets.tolist() == [1] * 3 + [2] * 3
    assert selected.correct.tolist() == [True] * 3 + [False] * 3
    shutil.copy(squares / "green" / "00.png", tmp_path / "00.png")
    loose = open_images([tmp_path / "00.png"], interpreted.class_names)
    selected = find_ground_truth(classifier, loose, mask_of, 3)
    assert selected.targets.tolist() == [1]
    assert selected.correct.all()
    assert not selected.labelled


def test_what_cannot_be_scored_is_left_out_and_counted(interpreted, squares, masks, tmp_path):
    shutil.copytree(squares, tmp_path / "images")
    (tmp_path / "images" / "red" / "03.png").write_bytes(b"no image")
    images = open_images(tmp_path / "images", interpreted.class_names)
    mask_of = find_masks(images, masks)

    def some_empty(index):
        return mask_of(index) & (index % 24 != 5)

    with pytest.warns(VebiWarning) as caught:
        selected = find_ground_truth(interpreted.classifier, images, some_empty, 24)
    assert len(selected) == 72 - 1 - 3
    (note,) = [str(w.message) for w in caught if "3 of 72 masks" in str(w.message)]
    assert note.endswith(": blue/05.png, green/05.png, red/05.png")
    assert any("red/03.png" in str(w.message) for w in caught)
    with pytest.warns(VebiWarning), pytest.raises(InputError, match="none of 72 images"):
        find_ground_truth(interpreted.classifier, images, lambda i: mask_of(0) & False, 24)
    with pytest.raises(UsageError, match="per_class is 0,"):
        find_ground_truth(interpreted.classifier, images, mask_of, 0)


def test_the_fingerprint_tells_images_classes_and_masks_apart(truth):
    others = [
        truth.subset(range(11)),
        replace(truth, targets=truth.targets[::-1].copy()),
        replace(truth, masks=~truth.masks),
    ]
    assert len({truth.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_few_images_of_each_class_are_not_the_same_ones(truth):
    """Each class has images at 0, 8, 15 and 23 of its 24."""
    assert truth.thin(1).images.ids == ["blue/00.png", "green/15.png", "red/23.png"]
    assert truth.thin(2).images.ids == [
        *("blue/00.png", "blue/15.png"),
        *("green/08.png", "green/23.png"),
        *("red/08.png", "red/23.png"),
    ]
    for most in (4, 5):
        assert truth.thin(most).images.ids == truth.images.ids
