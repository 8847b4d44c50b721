"""Methods on images without masks: what is scored, on which images, and what is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from scipy import stats

import vebi
from vebi.benchmark.image_rows import join_parts
from vebi.benchmark.methods import Method
from vebi.benchmark.without_masks import benchmark_images
from vebi.errors import InputError, UsageError
from vebi.intervention import curve_area, randomized_copy
from vebi.intervention.deletion import deletion_curve
from vebi.methods import GradCam
from vebi.metrics import gini_index, rank_correlation
from vebi.reports.benchmark_report.image_markdown import render_image_markdown
from vebi.reports.benchmark_report.image_table import ImageTable, Paired


@pytest.fixture(scope="module")
def measured(interpreted, squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("unmasked")
    flat = Method("flat", "flat", lambda _: lambda images, targets: images[:, 0] * 0, uses_features=False)
    table = benchmark_images(interpreted.classifier, squares, out, scored=6, few=2, methods=[flat])
    return table, out


def test_scores_are_those_of_the_maps_for_the_predicted_classes(measured, interpreted, squares):
    table, _ = measured
    model = interpreted.classifier
    paths = sorted(squares.rglob("*.png"))
    rows = [round(k) for k in np.linspace(0, len(paths) - 1, 6)]
    inputs = torch.stack([model.preprocess.prepare(Image.open(paths[k]).convert("RGB")) for k in rows])
    targets = model.logits(inputs).argmax(dim=1).detach()
    maps = GradCam(model)(inputs, targets)
    row = next(row for row in table.rows if row.method == "grad-cam")
    areas = curve_area(deletion_curve(model, inputs, targets, maps, baseline="grey", steps=14))
    assert row.images == table.images == 6
    assert row.curves["deletion_grey"].mean == pytest.approx(100 * areas.mean().item(), rel=1e-4)
    assert row.sparseness == pytest.approx(gini_index(maps.clamp(min=0)).mean().item(), rel=1e-4)
    few, copy = [0, 5], randomized_copy(model, last=1)
    other = GradCam(copy)(inputs[few], targets[few]).clamp(min=0)
    everywhere = torch.ones(2, 32, 32, dtype=torch.bool)
    expected = rank_correlation(maps[few].clamp(min=0), other, everywhere).numpy()
    assert row.randomisation["1"] == pytest.approx(np.nanmean(expected), abs=1e-5)


def test_every_method_has_a_row_and_slow_ones_have_fewer_images(measured):
    table, _ = measured
    rows = {row.method: row for row in table.rows}
    assert next(iter(rows)) == "vebi"
    assert {"vebi-paper", "guided-grad-cam", "saturation", "flat", "occlusion", "rise"} < set(rows)
    assert {rows[name].images for name in ("occlusion", "rise", "score-cam")} == {2}
    assert (rows["flat"].empty, rows["flat"].sparseness) == (1, None)
    assert rows["saturation"].randomisation == dict.fromkeys(("1", "2", "3", "all"))
    assert all(paired.difference == 0 for paired in rows["vebi"].curves.values())
    assert rows["vebi-paper"].randomisation["1"] == pytest.approx(1)  # no feature is in the last layer
    assert table.checked == 2


def test_differences_are_paired(measured, interpreted, squares):
    table, out = measured
    ours, theirs = (load_file(out / "scores" / f"{name}.safetensors") for name in ("vebi", "gradient"))
    difference = 100 * (theirs["deletion_grey"] - ours["deletion_grey"])
    interval = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    paired = next(row for row in table.rows if row.method == "gradient").curves["deletion_grey"]
    assert paired.difference == pytest.approx(difference.mean())
    assert paired.interval == pytest.approx(tuple(interval))


def test_the_files_say_what_was_measured(measured):
    table, out = measured
    read = ImageTable.from_dict(json.loads((out / "images.json").read_text()))
    assert read.rows == table.rows
    text = (out / "images.md").read_text()
    assert text == render_image_markdown(read)
    assert "| **vebi**" in text
    assert "6 images, each explained for its predicted class" in text
    assert "selected on the images that are scored" in text
    with Image.open(out / "sheet.webp") as sheet:
        assert sheet.width > 20 * 112  # a column per method
        assert sheet.height > 6 * 112


def test_where_vebi_is_behind_it_is_bold(measured):
    table, _ = measured
    better = replace(table.rows[1], curves={name: Paired(50.0, 5.0, (2.0, 8.0)) for name in table.rows[1].curves})
    text = render_image_markdown(replace(table, rows=(table.rows[0], better)))
    line = next(line for line in text.splitlines() if line.startswith(f"| {better.title}"))
    bold = [cell.strip() for cell in line.split("|") if cell.strip().startswith("**")]
    assert bold == ["**+5.0 (+2.0 to +8.0)**"] * 2  # insertion; more of deletion is worse


def test_what_was_scored_is_used_again(measured, interpreted, squares, monkeypatch):
    table, out = measured
    monkeypatch.setattr("vebi.benchmark.without_masks.score_without_masks", lambda *_, **__: 1 / 0)
    again = benchmark_images(interpreted.classifier, squares, out, scored=6, few=2)
    kept = {row.method: row for row in table.rows if row.method != "flat"}
    assert {row.method: row for row in again.rows} == kept


def test_in_folds_each_image_is_explained_by_a_fit_on_others(interpreted, squares, tmp_path):
    table = benchmark_images(interpreted.classifier, squares, tmp_path / "out", folds=2, scored=6, few=2)
    runs = [vebi.load(tmp_path / "out" / f"fold{k}" / "run", interpreted.classifier) for k in range(2)]
    names = sorted(str(path.relative_to(squares)) for path in squares.rglob("*.png"))
    assert [run.settings.data.n_images for run in runs] == [len(names[1::2]), len(names[::2])]
    parts = [load_file(tmp_path / "out" / f"fold{k}" / "scores" / "vebi.safetensors") for k in range(2)]
    row = table.rows[0]
    expected = np.concatenate([part["insertion_grey"] for part in parts])
    assert len(expected) == row.images == table.images == 6
    assert row.curves["insertion_grey"].mean == pytest.approx(100 * expected.mean())
    slow = next(row for row in table.rows if row.method == "rise")
    few = [load_file(tmp_path / "out" / f"fold{k}" / "scores" / "rise.safetensors")["insertion_grey"] for k in range(2)]
    ours = [part["insertion_grey"][0] for part in parts]
    assert slow.curves["insertion_grey"].difference == pytest.approx(100 * (np.concatenate(few) - ours).mean())
    assert (slow.images, table.checked) == (2, 2)
    assert "selected on the other images, in 2 folds" in (tmp_path / "out" / "images.md").read_text()


def test_impossible_options(interpreted, squares, tmp_path):
    with pytest.raises(UsageError, match="scored is 0"):
        benchmark_images(interpreted.classifier, squares, tmp_path / "out", scored=0)
    for options in ({"folds": 1}, {"folds": 2, "fit_images": squares}):
        with pytest.raises(UsageError, match="give 2 or more"):
            benchmark_images(interpreted.classifier, squares, tmp_path / "out", **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        benchmark_images(interpreted.classifier, tmp_path / "empty", tmp_path / "out")


class Hues(torch.nn.Module):
    """Its four classes are colours: red, green, blue, and bright."""

    def __init__(self):
        super().__init__()
        self.hues = torch.nn.Conv2d(3, 4, 1)
        self.head = torch.nn.Linear(4, 4)
        with torch.no_grad():
            rows = [[2, -1, -1], [-1, 2, -1], [-1, -1, 2], [1, 1, 1]]
            self.hues.weight.copy_(torch.tensor(rows)[:, :, None, None])
            self.hues.bias.copy_(torch.tensor([0.0, 0, 0, -2]))
            self.head.weight.copy_(torch.eye(4) + 0.01)
            self.head.bias.zero_()

    def forward(self, x):
        return self.head(torch.relu(self.hues(x)).mean(dim=(2, 3)))


def test_mosaics_need_no_masks(tmp_path):
    colours = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250), "bright": (250, 250, 250)}
    for name, colour in colours.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for k in range(2):
            shade = tuple(max(0, value - 20 * k) for value in colour)
            Image.new("RGB", (16, 16), shade).save(tmp_path / "images" / name / f"{k}.png")
    network = vebi.Classifier(Hues().eval(), vebi.Preprocess(16, (0.0,) * 3, (1.0,) * 3), tuple(colours))

    def of_colour(images, targets):
        return torch.relu(network.model.hues(images))[torch.arange(len(images)), targets].detach()

    methods = [
        Method("right", "right", lambda _: of_colour, uses_features=False),
        Method("everywhere", "everywhere", lambda _: lambda images, _: images[:, 0] * 0 + 1, uses_features=False),
    ]
    sizes = {"scored": 8, "few": 1, "mosaics": 2}
    table = benchmark_images(network, tmp_path / "images", tmp_path / "out", methods=methods, **sizes)
    rows = {row.method: row for row in table.rows}
    assert rows["right"].grid_pointing == pytest.approx(100)
    assert rows["everywhere"].grid_pointing == pytest.approx(25)
    assert rows["rise"].grid_pointing is None
    assert "| grid pointing |" in (tmp_path / "out" / "images.md").read_text()
    assert ImageTable.from_dict(table.to_dict()) == table
    assert table.settings["mosaics"] == 2


def test_parts_of_too_few_classes_have_no_mosaics_and_the_others_have():
    one, other = ({"sparseness": np.ones(2), "grid_pointing": np.array([0.5, 1])}, {"sparseness": np.zeros(1)})
    for parts in ([one, other], [other, one]):
        assert join_parts(parts)["grid_pointing"].tolist() == [0.5, 1]
        assert len(join_parts(parts)["sparseness"]) == 3
