import json

import pytest
from PIL import Image

from vebi import demo


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(demo, "IMAGES_PER_CLASS", 10)
    monkeypatch.setattr(demo, "EPOCHS", 15)


@pytest.mark.filterwarnings("default")  # a network of 48 pictures may leave a class unpredicted, which vebi says
def test_the_demo_tells_its_story_and_uses_again_what_is_there(small, tmp_path):
    summary = demo.run(tmp_path / "demo")
    assert summary == json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary.keys() >= {
        "accuracy",
        "mu",
        "features_per_class",
        "max_relative_gap",
        "auc_iou",
        "seconds",
        "versions",
    }
    assert summary["auc_iou"].keys() == {"vebi", "vebi-without-stride-fix"}
    assert all(0 < value < 100 for value in summary["auc_iou"].values())
    assert summary["held_out_images"] == 12 and len(summary["features_per_class"]) == 6
    page = (tmp_path / "demo" / "report.html").read_text()
    assert all(name in page for name in summary["features_per_class"])
    for path in (tmp_path / "demo" / "explanations").glob("*.png"):
        with Image.open(path) as figure:
            assert figure.width > 400

    checkpoint = tmp_path / "demo" / "network.safetensors"
    trained = checkpoint.stat().st_mtime_ns
    stages = []
    again = demo.run(tmp_path / "demo", progress=lambda stage, done, total: stages.append(stage))
    assert checkpoint.stat().st_mtime_ns == trained
    assert "descriptors" not in stages and "training" not in stages
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in summary.items() if k != "seconds"}
