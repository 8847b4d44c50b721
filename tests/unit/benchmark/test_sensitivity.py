import pytest

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import built_in_methods
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.scoring import score
from vebi.benchmark.sensitivity import VARIED_THRESHOLDS, mean_over_folds, sensitivity_rows
from vebi.explanation.explain import ExplainOptions
from vebi.explanation.recipe import Recipe
from vebi.interpretation.fit import interpret
from vebi.methods.features import FeatureEvidence
from vebi.reports.benchmark_report.rows import SensitivityRow


@pytest.fixture(scope="module")
def measured(interpreted, squares, truth, tmp_path_factory):
    run = tmp_path_factory.mktemp("sensitivity") / "run"
    paper = interpret(interpreted.classifier, squares, mu=1.0, descriptor=Descriptor.paper(), out=run)
    interpretation = refit_with_descriptor(paper, run, Descriptor())
    rows = sensitivity_rows(interpretation, truth, run, run.with_name("cache.json"))
    return interpretation, run, {(row.choice, row.setting): row.auc_iou for row in rows}


def test_the_first_row_is_the_table(measured, truth):
    interpretation, _, rows = measured
    explainers = {m.name: m.make(interpretation) for m in built_in_methods()}
    assert set(rows["as in the table", ""]) == {
        "vebi", "upsampled-vebi", "guided-backprop", "grad-cam", "guided-grad-cam", "grad-cam++", "guided-grad-cam++",
    }  # fmt: skip
    for name, value in rows["as in the table", ""].items():
        assert value == pytest.approx(100 * score(explainers[name], truth)["raw.auc_iou"].mean(), rel=1e-4)


def test_every_choice_is_there(measured):
    _, _, rows = measured
    choices = {choice for choice, _ in rows}
    assert choices == {
        "as in the table", "thresholds", "interpolation", "layer of Grad-CAM", "descriptor", "weights", "labels",
        "features per class", "features shown", "combination", "heatmaps",
    }  # fmt: skip
    assert {s for c, s in rows if c == "features per class"} == {"1", "2", "5", "10"}  # 3 is the default
    assert {s for c, s in rows if c == "features shown"} == {"1", "2", "5", "10"}
    assert {s for c, s in rows if c == "thresholds"} == set(VARIED_THRESHOLDS)
    assert {"as in the paper", "no contrast"} < {s for c, s in rows if c == "heatmaps"}
    assert set(rows["layer of Grad-CAM", "relu1"]) == {
        "grad-cam", "guided-grad-cam", "grad-cam++", "guided-grad-cam++",
    }  # fmt: skip


def test_other_heatmaps_are_of_the_recipe_named(measured, truth):
    interpretation, _, rows = measured
    for name, recipe in (("as in the paper", Recipe.paper()), ("no contrast", Recipe(contrast=False))):
        explainer = FeatureEvidence(interpretation, ExplainOptions(recipe=recipe))
        expected = 100 * score(explainer, truth)["raw.auc_iou"].mean()
        assert rows["heatmaps", name]["vebi"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("row", "options"),
    [
        (("features per class", "5"), {"features_per_class": 5}),
        (("weights", "signed"), {"signed": True}),
        (("labels", "true"), {"labels": "true"}),
        (("descriptor", "squared energies"), {"descriptor": Descriptor("squared")}),
    ],
)
def test_another_fit_is_the_fit_with_that_option(measured, squares, truth, row, options):
    interpretation, _, rows = measured
    refit = interpret(interpretation.classifier, squares, **options)
    expected = 100 * score(FeatureEvidence(refit), truth)["raw.auc_iou"].mean()
    assert rows[row]["vebi"] == pytest.approx(expected, rel=1e-4)


def test_a_grid_without_zero_leaves_the_whole_image_out(measured, truth):
    """At t = 0 every map marks the whole image: 101 grid = (100 times the other + the mask's share) / 101."""
    _, _, rows = measured
    share = 100 * float(truth.masks.float().mean())
    for name, value in rows["as in the table", ""].items():
        assert value == pytest.approx(
            (100 * rows["thresholds", "101 thresholds without 0"][name] + share) / 101, rel=1e-4
        )


def test_the_table_of_the_run_is_used_again(measured):
    _, run, _ = measured
    assert [p.name for p in run.parent.iterdir() if p.is_dir()] == [run.name]


def test_rows_are_kept_and_read_again(measured, squares, truth, monkeypatch):
    interpretation, run, rows = measured
    cache = run.with_name("cache.json")
    monkeypatch.setattr("vebi.benchmark.sensitivity._score", None)  # nothing may be scored
    reread = sensitivity_rows(interpretation, truth, run, cache)
    assert {(row.choice, row.setting): row.auc_iou for row in reread} == rows
    with pytest.raises(TypeError):  # other images are
        sensitivity_rows(interpretation, truth.subset(range(6)), run, cache)
    cache.write_text("{")
    with pytest.raises(TypeError):
        sensitivity_rows(interpretation, truth, run, cache)


def test_means_over_folds():
    one, other = ([SensitivityRow("mu", "2", {"vebi": score})] for score in (40.0, 50.0))
    (row,) = mean_over_folds([one, other])
    assert row == SensitivityRow("mu", "2", {"vebi": 45.0}, {"vebi": (40.0, 50.0)})
    assert row.to_dict() == {
        "choice": "mu", "setting": "2", "auc_iou": {"vebi": 45.0}, "folds": {"vebi": [40.0, 50.0]},
    }  # fmt: skip
    assert SensitivityRow.from_dict(row.to_dict()) == row
