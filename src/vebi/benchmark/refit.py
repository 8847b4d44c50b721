"""Other features and weights with the settings of a fit: on another table, or on another network."""

import tempfile
from dataclasses import replace
from pathlib import Path

from vebi import lasso
from vebi.activations.layers import choose_layers
from vebi.activations.table import DescriptorTable, tabulate
from vebi.data.collections import ImageCollection
from vebi.interpretation.result import Interpretation
from vebi.interpretation.settings import LABELS, ModelSource
from vebi.interpretation.table_fit import select_nonzero
from vebi.models.classifier import Classifier


def refit_on_table(interpretation: Interpretation, table: DescriptorTable) -> Interpretation:
    """Fits the mu of an interpretation, its labels and its signs to a table of descriptors.

    Args:
        interpretation: What is asked for: ``mu`` and ``settings``.
        table: Descriptors of its model, made with its settings.

    Returns:
        The interpretation with the features and weights of the table, and without exemplars. Its diagnostics, its path
        and its stability stay those of the fit before.
    """
    settings = interpretation.settings
    sums = table.sums(len(interpretation.class_names), LABELS[settings.labels])
    solutions = lasso.solve_all(sums.gram, sums.b, sums.label_energy, interpretation.mu, signed=settings.signed)
    selection = select_nonzero(table, solutions)
    return replace(
        interpretation,
        features=selection.features,
        columns=selection.columns,
        weights=selection.weights,
        exemplars=(),
    )


def refit_on_network(
    interpretation: Interpretation, classifier: Classifier, images: ImageCollection, *, batch_size: int = 32
) -> Interpretation:
    """Fits the same layers with the same settings on another network; nothing of it is left on disk.

    Args:
        interpretation: What is asked for: layers, descriptor, ``mu`` and ``settings``.
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
