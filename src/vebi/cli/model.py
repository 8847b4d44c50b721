"""Commands on a model before anything is fitted: its layers, and what the backward rule covers."""

from vebi.cli import console
from vebi.cli.options import (
    Classes,
    Config,
    Device,
    Interpolation,
    Json,
    Layers,
    Mean,
    Resize,
    Rule,
    Size,
    Spec,
    Std,
    Weights,
    load_model,
)


def layers(
    spec: Spec,
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    classes: Classes = None,
    layer: Layers = None,
    device: Device = "auto",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List layers with channels, positions and receptive fields."""
    with console.guarded():
        from dataclasses import asdict

        from vebi.activations.layers import choose_layers, list_layers
        from vebi.backprop.receptive_field import receptive_fields

        classifier = load_model(
            spec,
            weights,
            mean=mean,
            std=std,
            size=size,
            resize=resize,
            interpolation=interpolation,
            classes=classes,
            device=device,
        )
        found = choose_layers(classifier, layer) if layer else list_layers(classifier)
        fields = receptive_fields(classifier, [x.name for x in found])
        if as_json:
            console.print_json([{**asdict(x), "receptive_field": fields[x.name].size} for x in found])
        else:
            rows = [
                [
                    x.name,
                    x.kind,
                    x.channels,
                    f"{x.height} x {x.width}",
                    _field(fields[x.name].size, classifier.preprocess.size),
                    "yes" if x.default else "",
                ]
                for x in found
            ]
            console.table(["layer", "kind", "channels", "positions", "receptive field", "by default"], rows)


def audit(
    spec: Spec,
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    classes: Classes = None,
    layer: Layers = None,
    rule: Rule = "guided",
    device: Device = "auto",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List the non-linearities that explanations pass, covered or not.

    Covered are those that the backward rule knows; through others it goes by their plain derivative.
    """
    with console.guarded():
        from dataclasses import asdict

        from vebi.activations.layers import choose_layers
        from vebi.backprop.graph_audit import audit as examine
        from vebi.backprop.rules import check_rule

        check_rule(rule, None)
        classifier = load_model(
            spec,
            weights,
            mean=mean,
            std=std,
            size=size,
            resize=resize,
            interpolation=interpolation,
            classes=classes,
            device=device,
        )
        found = examine(classifier, choose_layers(classifier, layer), rule)
        if as_json:
            console.print_json([asdict(finding) for finding in found])
        else:
            rows = [[x.operation, x.place, x.count, x.treatment, "" if x.covered else "NOT COVERED"] for x in found]
            console.table(["operation", "in", "times", "led back by", ""], rows)
            missed = sum(x.count for x in found if not x.covered)
            console.say(f"{missed} operations are not covered by the rule {rule}" if missed else "all are covered")


def _field(size: tuple[int, int], whole: int) -> str:
    return "whole picture" if size == (whole, whole) else f"{size[0]} x {size[1]} px"
