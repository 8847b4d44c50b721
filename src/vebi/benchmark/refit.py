"""Other features and weights with the settings of a fit: on another table, or on another network."""

import tempfile
from dataclasses import replace
from pathlib import Path

from vebi import lasso
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import choose_layers
from vebi.activations.table import DescriptorTable, tabulate
from vebi.data.collections import ImageCollection
from vebi.interpretation.fit import FEATURES_PER_CLASS
from vebi.interpretation.result import Interpretation
from vebi.interpretation.run_folder import open_table
from vebi.interpretation.settings import LABELS, ModelSource
from vebi.interpretation.table_fit import layer_shares, select_nonzero
from vebi.models.classifier import Classifier


def refit_on_table(interpretation: Interpretation, table: DescriptorTable) -> Interpretation:
    """Fits with the bound of an interpretation, its labels and its signs to a table of descriptors.

    Args:
        interpretation: What is asked for: ``settings``, and ``mu`` where there is one.
        table: Descriptors of its model, made with its settings.

    Returns:
        The interpretation with the features and weights of the table, and without exemplars. Its diagnostics, its path
        and its stability stay those of the fit before.
    """
    settings = interpretation.settings
    problem = table.problem(len(interpretation.class_names), LABELS[settings.labels])
    mus = lasso.Bound(interpretation.mu, settings.features_per_class).mus(problem, signed=settings.signed)
    solutions = lasso.solve_all(problem.gram, problem.b, problem.energy, mus, signed=settings.signed)
    selection = select_nonzero(table, problem, solutions)
    return replace(
        interpretation,
        features=selection.features,
        columns=selection.columns,
        weights=selection.weights,
        scaling=selection.scaling,
        mus=tuple(mus.tolist()),
        layer_shares=layer_shares(table, selection, settings.layers, LABELS[settings.labels]),
        exemplars=(),
    )


def refit_with_descriptor(
    interpretation: Interpretation, run: Path, descriptor: Descriptor, mu: float | None = None
) -> Interpretation:
    """The fit with another descriptor, from the table of its run.

    Args:
        interpretation: A fit.
        run: Its run folder.
        descriptor: The other descriptor.
        mu: The bound on the l1 norm of the weights of each class; None for the default number of features.

    Returns:
        The interpretation with that descriptor, see ``refit_on_table``.

    Raises:
        RunError: The table is damaged.
    """
    settings = replace(
        interpretation.settings,
        descriptor=descriptor,
        mu=mu,
        features_per_class=FEATURES_PER_CLASS if mu is None else None,
    )
    mus = interpretation.mus if mu is None else (mu,) * len(interpretation.mus)
    asked = replace(interpretation, settings=settings, mus=mus)
    return refit_on_table(asked, open_table(run, interpretation.settings, descriptor))


def refit_on_network(
    interpretation: Interpretation, classifier: Classifier, images: ImageCollection, *, batch_size: int = 32
) -> Interpretation:
    """Fits the same layers with the same settings on another network; nothing of it is left on disk.

    Args:
        interpretation: What is asked for: layers, descriptor and bound.
        classifier: A network with the same layers.
        images: The images of the fit.
        batch_size: Images per forward pass.

    Returns:
        The interpretation of the network, see ``refit_on_table``.

    Raises:
        UsageError: The network has other layers.
        ModelError: Its activations or class scores are not finite.
    """
    layers = choose_layers(classifier, [name for name, _ in interpretation.layers])
    settings = replace(interpretation.settings, model=ModelSource(None, None, classifier.sha256()))
    requested = replace(interpretation, classifier=classifier, settings=settings)
    with tempfile.TemporaryDirectory() as folder:
        table = tabulate(classifier, images, layers, Path(folder), interpretation.descriptor, batch_size=batch_size)
        return refit_on_table(requested, table)
