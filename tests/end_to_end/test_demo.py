import json

import numpy as np
import pytest
import torch
from PIL import Image

from vebi import Recipe, demo, explain_each, load, load_classifier
from vebi.datasets.flowers import load_dataset
from vebi.metrics.iou import auc_iou


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The whole demo, as a user gets it."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return folder, demo.run(folder)
    finally:
        torch.set_num_threads(threads)


def test_the_summary_says_what_a_user_may_expect(made):
    folder, summary = made
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["accuracy"] >= 0.99
    assert summary["held_out_images"] == 240
    assert len(summary["features_per_class"]) == 6
    assert all(1 <= count <= 20 for count in summary["features_per_class"].values())
    assert summary["max_relative_gap"] <= 1e-8
    assert summary["auc_iou"]["vebi-paper-heatmaps"] > summary["auc_iou"]["vebi-paper-heatmaps-without-stride-fix"] > 0
    assert summary["auc_iou"].keys() == demo.RANGES.keys()
    assert all(low - 5 < summary["auc_iou"][name] < high + 5 for name, (low, high) in demo.RANGES.items())
    assert summary.keys() >= {"features_per_class", "seconds", "versions", "model_sha256", "data_sha256", "seed"}


def test_the_scores_are_those_of_the_methods_named(made):
    folder, summary = made
    interpretation = load(folder / "run", load_classifier(folder / "network.safetensors"))
    held_out = sorted((folder / "flowers" / "images").rglob("*_r0.png"))
    petals = load_dataset(folder / "flowers")["parts"]["petals"]
    masks = []
    for path in held_out:
        with Image.open(folder / "flowers" / "masks" / path.parent.name / path.name) as labels:
            masks.append(np.array(labels) == petals)
    recipes = Recipe(), Recipe.paper(), Recipe.paper(stride_fix=None)
    for method, recipe in zip(summary["auc_iou"], recipes, strict=False):
        maps = np.stack([e.combined_map() for e in explain_each(interpretation, held_out, recipe=recipe, strict=True)])
        score = auc_iou(torch.from_numpy(maps), torch.from_numpy(np.stack(masks))).mean().item()
        assert summary["auc_iou"][method] == pytest.approx(100 * score, abs=1e-3)


def test_there_is_something_to_look_at(made):
    folder, summary = made
    page = (folder / "report.html").read_text()
    assert all(name in page for name in summary["features_per_class"])
    figures = list((folder / "explanations").glob("*.png"))
    assert len(figures) == 12
    for path in figures:
        with Image.open(path) as figure:
            assert figure.width > 400


def test_a_second_demo_uses_again_what_is_there(made):
    folder, summary = made
    trained = (folder / "network.safetensors").stat().st_mtime_ns
    stages = []
    again = demo.run(folder, progress=lambda stage, done, total: stages.append(stage))
    assert (folder / "network.safetensors").stat().st_mtime_ns == trained
    assert "descriptors" not in stages
    assert "training" not in stages
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in summary.items() if k != "seconds"}
