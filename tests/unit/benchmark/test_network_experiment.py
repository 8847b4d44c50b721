"""One small network of the experiment in a meadow, measured, kept, and resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vebi.benchmark.built_in_methods import all_methods
from vebi.benchmark.methods import Method
from vebi.benchmark.network_experiment import NetworkExperiment
from vebi.benchmark.plan import NetworksPlan
from vebi.datasets.flowers import generate

PLAN = NetworksPlan(
    images=30,
    folds=1,
    seeds=1,
    epochs={"single-6c": {"flowernet": 1}},
    fitted=24,
    scored=6,
    few=6,
    tuned=6,
    mosaics=1,
    checked=1,
)

#: All of them are in tests/end_to_end/test_benchmark.py.
ONE_OF_EACH_KIND = ("vebi", "vebi-paper", "grad-cam", "gradient", "saturation")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    generate(folder / "flowers", scene="meadow", images_per_class=5)
    flat = Method("flat", "flat", lambda _: lambda images, targets: torch.ones(images.shape[0], *images.shape[2:]))
    methods = (*(method for method in all_methods() if method.name in ONE_OF_EACH_KIND), flat)
    return NetworkExperiment(folder / "network", folder / "flowers", "flowernet", 1, 0, 3, True, PLAN, methods)


@pytest.fixture(scope="module")
def result(experiment):
    with pytest.warns():  # a network of one epoch knows nothing, and fits say so
        return experiment.run()


def test_every_kind_of_method_is_measured(result):
    assert {"flat", "vebi", "vebi-best", "grad-cam", "grad-cam-best", "rise", "score-cam-best", "saturation"} <= set(
        result.scores
    )
    assert (result.fold, result.seed) == (0, 3)
    assert len(result.images) == len(result.targets) == 6
    assert result.images[0].startswith("blue/class3_img0_")
    assert 0 < result.permuted_accuracy < 0.9  # of two epochs
    assert result.titles["grad-cam-best"] == "Grad-CAM, best choice"
    assert result.described["grad-cam-best"].startswith("layer relu")
    for method, scores in result.scores.items():
        assert len(scores["auc_iou"]) == 6, method
        assert np.isfinite(scores["deletion_blur"]).all(), method


def test_parameters_and_labels_are_randomised_for_methods_that_ask_a_network(result):
    checked = {method for method, scores in result.scores.items() if any(name.startswith("sanity.") for name in scores)}
    assert {"vebi", "grad-cam", "gradient"} <= checked
    assert not checked & {"saturation", "rise", "grad-cam-best"}
    assert "sanity.labels.rank_correlation" in result.scores["grad-cam"]
    assert "sanity.all refit.empty" in result.scores["vebi"]


def test_what_was_measured_is_read_again_and_a_damaged_file_is_not(experiment, result, monkeypatch):
    def measure(*_):
        raise RuntimeError("measured again")

    monkeypatch.setattr(NetworkExperiment, "_measure", measure)
    again = experiment.run()
    assert again.titles == result.titles
    assert (again.images, again.targets) == (result.images, result.targets)
    assert all(
        np.array_equal(again.scores[m][name], values, equal_nan=True)
        for m, scores in result.scores.items()
        for name, values in scores.items()
    )
    path = experiment.folder / "scores.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RuntimeError, match="measured again"):
        experiment.run()
    path.write_bytes(content)


def test_scores_are_of_the_methods_that_were_asked_for(experiment, result):
    changed = replace(experiment.methods[-1], key="mine.py:flat 0123")
    assert experiment._key() != replace(experiment, methods=(*experiment.methods[:-1], changed))._key()
