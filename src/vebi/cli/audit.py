"""The command that lists what the backprop rule covers."""

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, Layers, ModelOptions, Rule, Spec


@command()
def audit(
    spec: Spec, *, layer: Layers = None, rule: Rule = "guided", model: ModelOptions, as_json: Json = False
) -> None:
    """List which nonlinear operations a backprop rule covers.

    Heatmaps are backpropagated from a layer to the pixels. On the way the rule replaces the derivative of the
    activation functions that it covers; any other nonlinear operation keeps its ordinary derivative (plain), or hands
    the gradient to the values that were chosen, as max pooling does (routed). An empty module is the network itself.
    """
    from dataclasses import asdict

    from vebi.backprop.graph_audit import audit_backward
    from vebi.backprop.rules import check_rule

    check_rule(rule, None)
    classifier = model.load(spec)
    findings = audit_backward(classifier, layers=layer, rule=rule)
    if as_json:
        console.print_json([asdict(finding) for finding in findings])
        return
    rows = [[x.operation, x.module, x.count, x.treatment, "" if x.covered else "NOT COVERED"] for x in findings]
    console.table(["operation", "module", "times", "treatment", ""], rows)
    missed = sum(x.count for x in findings if not x.covered)
    console.note(f"{missed} operations are not covered by the rule {rule}" if missed else "all are covered")
