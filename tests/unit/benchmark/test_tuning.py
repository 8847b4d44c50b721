from vebi.benchmark.built_in_methods import built_in_methods
from vebi.benchmark.methods import Method
from vebi.benchmark.tuning import mean_area, tune, tune_all


def test_the_best_choice_is_that_with_the_largest_area(interpreted, truth, tmp_path):
    def masked(share):
        """The masks themselves, but for a part of the images."""

        def explain(images, _):
            rows = [next(k for k in range(len(truth)) if truth.inputs([k])[0].equal(image)) for image in images]
            maps = truth.masks[rows].float()
            return maps if share else 1 - maps

        return explain

    choices = {"wrong": masked(0), "right": masked(1), "right again": masked(1)}
    method = Method("mine", "mine", lambda _: choices["wrong"], in_paper=True, choices=lambda _: choices)
    best = tune(interpreted, truth, method, tmp_path)
    assert (best.name, best.title, best.chosen) == ("mine-best", "mine, best choice", "right")
    assert best.make(interpreted) is choices["right"]
    assert best.choices is None
    assert not best.in_paper
    assert mean_area(choices["right"], truth, 5) > 0.99 > mean_area(choices["wrong"], truth, 5)


def test_choices_are_scored_once(interpreted, truth, tmp_path):
    calls = []

    def explain(images, _):
        calls.append(len(images))
        return images.mean(dim=1)

    def tuned(ground_truth):
        method = Method("mine", "mine", lambda _: explain, choices=lambda _: {"a/b": explain, "c": explain})
        return tune(interpreted, ground_truth, method, tmp_path / "choices").chosen

    assert tuned(truth) == "a/b"
    seen = len(calls)
    assert tuned(truth) == "a/b"
    assert len(calls) == seen
    assert tuned(truth.thin(1)) == "a/b"  # other images
    assert len(calls) > seen


def test_every_method_with_choices_gets_a_row(interpreted, truth, tmp_path):
    methods = built_in_methods()
    tuned = tune_all(interpreted, truth.thin(1), methods, tmp_path)
    assert [method.name for method in tuned] == [f"{m.name}-best" for m in methods if m.choices]
    assert {"vebi-best", "upsampled-activations-best", "grad-cam-best", "layer-cam-best"} <= {m.name for m in tuned}
    for method in tuned:
        area = mean_area(method.make(interpreted), truth.thin(1), 8)
        default = next(m for m in methods if f"{m.name}-best" == method.name)
        assert area >= mean_area(default.make(interpreted), truth.thin(1), 8) - 1e-6  # the default is among the choices
