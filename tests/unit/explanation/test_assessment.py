"""What a survey says of a model is what a look at its pictures says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support import SIZE, ToyNet

import vebi
from vebi.data.collections import DataSet, evenly
from vebi.data.sources import open_images
from vebi.datasets.masks import cut_mask, find_masks
from vebi.errors import ImageError, InputError
from vebi.explanation import assessment as module
from vebi.explanation.assessment import survey
from vebi.metrics.iou import auc_iou
from vebi.models.preprocess import Preprocess


@pytest.fixture(scope="module")
def found(toy_module, squares):
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)
    return vebi.interpret(toy, squares, mu=1)


@pytest.fixture
def mislabelled(squares, tmp_path):
    """Three red pictures and one blue lie in the folder of the greens."""
    for name in ToyNet.class_names:
        (tmp_path / name).mkdir()
        for path in sorted((squares / name).iterdir())[:6]:
            (tmp_path / name / path.name).symlink_to(path)
    for name, numbers in (("red", "678"), ("blue", "9")):
        for number in numbers:
            (tmp_path / "green" / f"{name}{number}.png").symlink_to(squares / name / f"0{number}.png")
    return tmp_path


def test_counts_and_accuracy(found, mislabelled):
    seen = survey(found, open_images(mislabelled, found.classes))
    assert (seen.looked_at, seen.total) == (22, 22)
    assert seen.right == {"blue": 6, "green": 6, "red": 6} and seen.labelled == {"blue": 6, "green": 10, "red": 6}
    assert seen.accuracy == pytest.approx(18 / 22) and seen.scores == {} and seen.scored == 0


def test_one_typical_picture_a_class_and_every_confusion_once(found, mislabelled):
    seen = survey(found, open_images(mislabelled, found.classes))
    assert [(e.truth, e.explanation.prediction) for e in seen.typical] == [(n, n) for n in ToyNet.class_names]
    assert {(e.truth, e.explanation.prediction) for e in seen.mistakes} == {("green", "red"), ("green", "blue")}
    assert len(seen.mistakes) == 2
    sure = {p.name: vebi.explain(found, p).probability for p in (mislabelled / "green").glob("red*.png")}
    (shown,) = [e.explanation for e in seen.mistakes if e.explanation.prediction == "red"]
    assert sure[shown.image_id.removeprefix("green/")] == pytest.approx(max(sure.values()), abs=1e-6)
    assert seen.confusions == (("green", "red", 3), ("green", "blue", 1))
    for e in seen.mistakes:
        alone = vebi.explain(found, mislabelled / e.explanation.image_id, target="green")
        assert e.for_truth.target == "green" and e.for_truth.prediction == e.explanation.prediction
        assert [v.feature for v in e.for_truth.evidence] == [v.feature for v in alone.evidence]
    assert all(e.for_truth is None for e in seen.typical)
    order = [e.explanation.probability for e in seen.mistakes]
    assert order == sorted(order, reverse=True)
    blues = sorted((mislabelled / "blue").iterdir())
    ranked = sorted(blues, key=lambda p: vebi.explain(found, p).probability)
    middle = vebi.explain(found, ranked[len(ranked) // 2 - 1]).probability
    assert seen.typical[0].explanation.probability == pytest.approx(middle, abs=1e-6)


def test_pictures_without_labels_have_examples_and_no_mistakes(found, squares):
    pictures = [np.asarray(Image.open(squares / name / "00.png")) for name in ("red", "blue")]
    seen = survey(found, open_images([squares / "red" / "00.png"], ("x", "y", "z")))
    assert seen.accuracy is None and seen.mistakes == () and [e.truth for e in seen.typical] == [None]
    seen = survey(found, DataSet([(p, label) for p, label in zip(pictures, (2, 0), strict=True)], found.classes))
    assert seen.accuracy == 1 and len(seen.typical) == 2


def test_of_many_pictures_some_are_looked_at_evenly(found, squares, monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT", 12)
    seen = survey(found, open_images(squares, found.classes))
    assert (seen.looked_at, seen.total) == (12, 72) and set(seen.labelled.values()) == {4}
    monkeypatch.setattr(module, "TYPICAL", 2)
    assert [e.truth for e in survey(found, open_images(squares, found.classes)).typical] == ["blue", "red"]


def test_broken_pictures_are_left_out(found, squares, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "bad.png").write_bytes(b"no")
    paths = [tmp_path / "red" / "bad.png", squares / "red" / "00.png"]
    seen = survey(found, open_images(paths, found.classes))
    assert (seen.looked_at, seen.total, seen.accuracy) == (1, 2, 1)
    with pytest.raises(ImageError, match="none of the 1 pictures could be decoded, first: .*bad.png"):
        survey(found, open_images(paths[:1], found.classes))


def test_scores_are_those_of_the_combined_maps(found, squares, tmp_path):
    paths = sorted((squares / "red").iterdir())[:5]
    (tmp_path / "red").mkdir()
    for path in paths:
        pixels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray(((pixels[..., 0] - pixels[..., 1] > 60) * 255).astype(np.uint8)).save(
            tmp_path / "red" / path.name
        )
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "red" / paths[0].name)  # the object is not to be seen in this one
    images = open_images(paths, found.classes)
    masks = find_masks(images, tmp_path)
    seen = survey(found, images, masks)
    assert seen.scored == 4
    truth = torch.from_numpy(np.stack([masks(i) for i in range(1, 5)]))
    for method, fix in (("vebi", "centred"), ("vebi-without-stride-fix", None)):
        maps = np.stack([e.combined() for e in vebi.explain(found, paths[1:], stride_fix=fix)])
        expected = 100 * auc_iou(torch.from_numpy(maps), truth).mean().item()
        assert seen.scores[method] == pytest.approx(expected, abs=1e-4)
    share = truth.float().mean().item()  # a map that is 1 everywhere has this IoU at every threshold
    assert seen.scores.pop("whole-picture") == pytest.approx(100 * share, abs=1e-4)
    assert seen.in_words()["auc_iou"] == seen.scores
    with pytest.raises(InputError, match="all 5 masks are empty"):
        survey(found, images, lambda index: np.zeros((SIZE, SIZE), bool))


def test_progress_names_its_stages(found, squares):
    stages = {}
    survey(
        found, open_images(squares, found.classes), progress=lambda s, done, total: stages.update({s: (done, total)})
    )
    assert list(stages) == ["predictions", "examples"] and all(done == total for done, total in stages.values())


def test_the_network_is_left_as_it_was(found, squares):
    found.classifier.module.train()
    survey(found, open_images(squares, found.classes))
    assert found.classifier.module.training
    found.classifier.module.eval()


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (1, 1, [0]), (0, 3, [])]
)
def test_evenly(count, most, expected):
    assert evenly(range(count), most) == expected


def test_a_mask_is_cut_as_its_picture_is():
    prepare = Preprocess(4, (0.5,), (0.5,), resize=6)
    mask = np.zeros((6, 12), bool)
    mask[1:5, 4:6] = True
    assert (cut_mask(prepare, mask) == mask[1:5, 4:8]).all()
    assert cut_mask(replace(prepare, resize=None), mask).shape == (4, 4)
