"""What an assessment says of a model is what a look at its images says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support import SIZE, ToyNet

import vebi
from vebi.data.collections import DatasetImages, evenly_spaced
from vebi.data.sources import open_images
from vebi.datasets.masks import crop_mask, find_masks
from vebi.errors import ImageError, InputError, UsageError, VebiWarning
from vebi.explanation import assessment as module
from vebi.explanation.assessment import assess
from vebi.metrics.iou import auc_iou
from vebi.models.preprocess import Preprocess


@pytest.fixture(scope="module")
def found(toy_module, squares):
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)
    return vebi.interpret(toy, squares, mu=1)


@pytest.fixture
def mislabelled(squares, tmp_path):
    """Three red images and one blue lie in the folder of the greens."""
    for name in ToyNet.class_names:
        (tmp_path / name).mkdir()
        for path in sorted((squares / name).iterdir())[:6]:
            (tmp_path / name / path.name).symlink_to(path)
    for name, numbers in (("red", "678"), ("blue", "9")):
        for number in numbers:
            (tmp_path / "green" / f"{name}{number}.png").symlink_to(squares / name / f"0{number}.png")
    return tmp_path


def test_counts_and_accuracy(found, mislabelled):
    seen = assess(found, open_images(mislabelled, found.class_names))
    assert (seen.looked_at, seen.total) == (22, 22)
    assert seen.correct == {"blue": 6, "green": 6, "red": 6}
    assert seen.labelled == {"blue": 6, "green": 10, "red": 6}
    assert seen.accuracy == pytest.approx(18 / 22)
    assert seen.scores == {}
    assert seen.scored == 0


def test_one_typical_image_per_class_and_every_confusion_once(found, mislabelled):
    seen = assess(found, open_images(mislabelled, found.class_names))
    assert [(e.truth, e.explanation.prediction) for e in seen.typical] == [(n, n) for n in ToyNet.class_names]
    assert {(e.truth, e.explanation.prediction) for e in seen.mistakes} == {("green", "red"), ("green", "blue")}
    assert len(seen.mistakes) == 2
    sure = {p.name: vebi.explain(found, p).probability for p in (mislabelled / "green").glob("red*.png")}
    (shown,) = [e.explanation for e in seen.mistakes if e.explanation.prediction == "red"]
    assert sure[shown.image_id.removeprefix("green/")] == pytest.approx(max(sure.values()), abs=1e-6)
    assert seen.confusions == (("green", "red", 3), ("green", "blue", 1))
    for e in seen.mistakes:
        alone = vebi.explain(found, mislabelled / e.explanation.image_id, target="green")
        assert e.true_class_explanation.target == "green"
        assert e.true_class_explanation.prediction == e.explanation.prediction
        assert [v.feature for v in e.true_class_explanation.evidence] == [v.feature for v in alone.evidence]
    assert all(e.true_class_explanation is None for e in seen.typical)
    order = [e.explanation.probability for e in seen.mistakes]
    assert order == sorted(order, reverse=True)
    blues = sorted((mislabelled / "blue").iterdir())
    ranked = sorted(blues, key=lambda p: vebi.explain(found, p).probability)
    middle = vebi.explain(found, ranked[len(ranked) // 2 - 1]).probability
    assert seen.typical[0].explanation.probability == pytest.approx(middle, abs=1e-6)


def test_images_without_labels_have_examples_and_no_mistakes(found, squares):
    arrays = [np.asarray(Image.open(squares / name / "00.png")) for name in ("red", "blue")]
    seen = assess(found, open_images([squares / "red" / "00.png"], ("x", "y", "z")))
    assert seen.accuracy is None
    assert seen.mistakes == ()
    assert [e.truth for e in seen.typical] == [None]
    seen = assess(found, DatasetImages(list(zip(arrays, (2, 0), strict=True)), found.class_names))
    assert seen.accuracy == 1
    assert len(seen.typical) == 2


def test_of_many_images_some_are_looked_at_evenly(found, squares, monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT", 12)
    seen = assess(found, open_images(squares, found.class_names))
    assert (seen.looked_at, seen.total) == (12, 72)
    assert set(seen.labelled.values()) == {4}
    monkeypatch.setattr(module, "TYPICAL", 2)
    assert [e.truth for e in assess(found, open_images(squares, found.class_names)).typical] == ["blue", "red"]


def test_broken_images_are_left_out(found, squares, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "bad.png").write_bytes(b"no")
    paths = [tmp_path / "red" / "bad.png", squares / "red" / "00.png"]
    with pytest.warns(VebiWarning, match=r"1 of 2 .*bad\.png"):
        seen = assess(found, open_images(paths, found.class_names))
    assert (seen.looked_at, seen.total, seen.accuracy) == (1, 2, 1)
    with pytest.raises(ImageError, match=r"bad\.png"):
        assess(found, open_images(paths[:1], found.class_names))


def test_scores_are_those_of_the_combined_maps(found, squares, tmp_path):
    paths = sorted((squares / "red").iterdir())[:5]
    (tmp_path / "red").mkdir()
    for path in paths:
        pixels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray(((pixels[..., 0] - pixels[..., 1] > 60) * 255).astype(np.uint8)).save(
            tmp_path / "red" / path.name
        )
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "red" / paths[0].name)  # the object is not visible in this one
    images = open_images(paths, found.class_names)
    masks = find_masks(images, tmp_path)
    with pytest.warns(VebiWarning, match="00.png is empty$"), pytest.warns(VebiWarning, match="1 of 5 .*red/00.png$"):
        seen = assess(found, images, masks)
    assert seen.scored == 4
    truth = torch.from_numpy(np.stack([masks(i) for i in range(1, 5)]))
    recipes = (vebi.Recipe(), vebi.Recipe.paper(), vebi.Recipe.paper(stride_fix=None))
    for method, recipe in zip(seen.scores, recipes, strict=False):
        maps = np.stack([e.combined_map() for e in vebi.explain_each(found, paths[1:], recipe=recipe)])
        expected = 100 * auc_iou(torch.from_numpy(maps), truth).mean().item()
        assert seen.scores[method] == pytest.approx(expected, abs=1e-4)
    share = truth.float().mean().item()  # a map that is 1 everywhere has this IoU at every threshold
    assert seen.scores.pop("whole-image") == pytest.approx(100 * share, abs=1e-4)
    assert seen.to_dict()["auc_iou"] == seen.scores
    with pytest.raises(InputError, match="5 masks"):
        assess(found, images, lambda index: np.zeros((SIZE, SIZE), bool))
    for given in (tmp_path, str(tmp_path)):  # a folder of masks says the same as the function of its masks
        with pytest.warns(VebiWarning, match="empty"):
            assert assess(found, paths, given).to_dict() == assess(found, images, masks).to_dict()


MASK = np.zeros((SIZE, SIZE), bool)
MASK[4:9, 4:12] = True


@pytest.mark.parametrize(
    "given",
    [MASK.astype(np.uint16), MASK.astype(np.float16), MASK.tolist(), torch.from_numpy(MASK).bfloat16()],
    ids=["uint16", "half", "list", "tensor"],
)
def test_masks_are_booleans_or_0_and_1_of_any_type(found, squares, given):
    paths = sorted((squares / "red").iterdir())[:2]
    assert assess(found, paths, lambda index: given).scores == assess(found, paths, lambda index: MASK).scores


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (MASK[:9], rf"shape \(9, {SIZE}\), .* \({SIZE}, {SIZE}\)"),
        (MASK[None], rf"shape \(1, {SIZE}, {SIZE}\)"),
        (MASK * 0.5, "value 0.5,"),
        (MASK.astype(np.uint16) * 256, "value 256,"),
        (np.where(MASK, np.nan, 0), "value nan,"),
        (MASK * 1j, "type ndarray"),
        (torch.from_numpy(MASK).to_sparse(), "type Tensor"),
        (torch.from_numpy(MASK).to("meta"), "type Tensor"),
        ([[1, 0], [1]], "type list"),
        (None, "type NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_masks_that_are_none_are_refused(found, squares, given, fact):
    paths = sorted((squares / "red").iterdir())[:2]
    with pytest.raises(UsageError, match=f"^the mask of .*00.png .*{fact}"):
        assess(found, paths, lambda index: given)


def test_images_are_given_as_to_every_verb(found, squares):
    expected = assess(found, open_images(squares, found.class_names)).to_dict()
    assert assess(found, squares).to_dict() == expected
    paths = [path for name in found.class_names for path in sorted((squares / name).iterdir())]
    assert assess(found, paths).to_dict() == expected
    with pytest.raises(InputError, match="nowhere"):
        assess(found, squares, squares / "nowhere")


def test_images_of_flowers_bring_their_masks(found, squares, monkeypatch):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[4:9, 4:9] = True
    monkeypatch.setattr(module, "find_masks", lambda images, folder: lambda index: mask)
    assert assess(found, squares).scored == 72


def test_strict(found, squares, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "bad.png").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"bad\.png"):
        assess(found, [squares / "red" / "00.png", tmp_path / "red" / "bad.png"], strict=True)


def test_progress_names_its_stages(found, squares):
    stages = {}
    assess(
        found,
        open_images(squares, found.class_names),
        progress=lambda s, done, total: stages.update({s: (done, total)}),
    )
    assert list(stages) == ["predictions", "examples"]
    assert all(done == total for done, total in stages.values())


def test_the_network_is_left_as_it_was(found, squares):
    found.classifier.model.train()
    assess(found, open_images(squares, found.class_names))
    assert found.classifier.model.training
    found.classifier.model.eval()


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (1, 1, [0]), (0, 3, [])]
)
def test_evenly(count, most, expected):
    assert evenly_spaced(range(count), most) == expected


def test_a_mask_is_cut_as_its_image_is():
    prepare = Preprocess(4, (0.5,), (0.5,), resize=6)
    mask = np.zeros((6, 12), bool)
    mask[1:5, 4:6] = True
    assert (crop_mask(prepare, mask) == mask[1:5, 4:8]).all()
    assert crop_mask(replace(prepare, resize=None), mask).shape == (4, 4)
