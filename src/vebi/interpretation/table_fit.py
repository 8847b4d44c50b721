"""From the table of descriptors to the interpretation: choice of mu, solutions, stability, exemplars, diagnostics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi import lasso, provenance
from vebi.activations.layers import Feature
from vebi.activations.table import DescriptorTable
from vebi.data.collections import ImageCollection
from vebi.data.loader import skipped_note
from vebi.errors import InputError
from vebi.interpretation.diagnostics import (
    Diagnostics,
    accuracy,
    certify,
    fidelity,
    near_chance_notes,
    solution_notes,
)
from vebi.interpretation.exemplars import find_exemplars
from vebi.interpretation.mu_path import MuPath, compute_mu_path
from vebi.interpretation.partition import FOLDS, PartitionedTable
from vebi.interpretation.result import Interpretation
from vebi.interpretation.settings import LABELS, FitSettings
from vebi.interpretation.stability import compute_stability
from vebi.lasso.bound import Bound
from vebi.lasso.scaling import Problem, Scaling
from vebi.models.classifier import Classifier
from vebi.progress import StageProgress, stage


@dataclass(frozen=True, eq=False)
class Selection:
    """The features that at least one class selected.

    Attributes:
        features: The features, in the order of their columns.
        columns: Their columns in the descriptor.
        weights: classes x features, 0 where a class did not select the feature.
        scaling: The scaling of these columns.
    """

    features: tuple[Feature, ...]
    columns: tuple[int, ...]
    weights: Float[np.ndarray, "classes features"]
    scaling: Scaling


def fit_table(
    classifier: Classifier,
    images: ImageCollection,
    table: DescriptorTable,
    settings: FitSettings,
    progress: StageProgress | None = None,
) -> Interpretation:
    """Fits the mu-Lasso of each class to a table of descriptors.

    Args:
        classifier: The model.
        images: The images of the table.
        table: Their descriptors.
        settings: What is asked for.
        progress: Called with (stage, done, total).

    Returns:
        The interpretation, with the classifier attached.

    Raises:
        InputError: There are no images to fit, or too few to choose mu from.
    """
    label = LABELS[settings.labels]
    problem = table.problem(len(settings.class_names), label)
    if not (table.column(label) >= 0).any():
        skipped = table.skipped()
        undecoded = len(skipped) == len(images)
        reason = f"no image could be decoded, first: {skipped[0][1]}" if undecoded else "no image has a true class"
        raise InputError(f"there is nothing to fit: {reason}; check the data")
    parts = PartitionedTable(table, problem, label, signed=settings.signed)
    path, bound = _choose_bound(parts, settings, progress)
    mus = bound.mus(problem, signed=settings.signed)
    solutions = lasso.solve_all(
        problem.gram, problem.b, problem.energy, mus, signed=settings.signed, progress=stage(progress, "solutions")
    )
    selection = select_nonzero(table, problem, solutions)
    columns, advance = selection.columns, stage(progress, "stability")
    stability = compute_stability(parts, bound, columns, selection.weights, advance) if settings.stability else None
    advance = stage(progress, "exemplars")
    exemplars = find_exemplars(classifier, images, table, columns, batch_size=settings.batch_size, progress=advance)
    return Interpretation(
        class_names=settings.class_names,
        features=selection.features,
        columns=selection.columns,
        weights=selection.weights,
        scaling=selection.scaling,
        mus=tuple(mus.tolist()),
        layer_shares=layer_shares(table, selection, settings.layers, label),
        settings=settings,
        diagnostics=_diagnose(table, problem, solutions, selection, path, mus.tolist(), settings),
        exemplars=tuple(exemplars),
        mu_path=path,
        stability=stability,
        classifier=classifier,
    )


def _choose_bound(
    parts: PartitionedTable, settings: FitSettings, progress: StageProgress | None
) -> tuple[MuPath, Bound]:
    """The path along mu, and the bound to fit with."""
    requested = None if isinstance(settings.mu, str) else Bound(settings.mu, settings.features_per_class)
    path = compute_mu_path(parts, requested, stage(progress, "path"))
    if requested is not None:
        return path, requested
    if not path.validated:
        rows = parts.problem.rows
        reason = "five images" if rows < FOLDS else "two images or more of two classes"
        raise InputError(f"mu cannot be chosen from these {rows} images, {reason} are needed: give a number")
    return path, Bound(mu=path.one_se_mu)


def select_nonzero(table: DescriptorTable, problem: Problem, solutions: Sequence[lasso.Solution]) -> Selection:
    """The features with a weight other than 0 in at least one solution.

    Args:
        table: The descriptors that were fitted.
        problem: Their mu-Lasso.
        solutions: The solution of each class.

    Returns:
        The features, their columns and their weights.
    """
    weights = np.stack([solution.weights for solution in solutions])
    columns = np.flatnonzero(np.abs(weights).sum(axis=0) > 0)
    return Selection(
        features=tuple(table.features[c] for c in columns),
        columns=tuple(int(c) for c in columns),
        weights=weights[:, columns],
        scaling=problem.scaling.columns(columns),
    )


def layer_shares(
    table: DescriptorTable, selection: Selection, layers: Sequence[tuple[str, int]], label: str
) -> Float[np.ndarray, "classes layers"]:
    """How much of the evidence for a class comes from which layer.

    Args:
        table: The descriptors.
        selection: The selected features.
        layers: (name, number of channels) of each layer.
        label: Column of the table that was fitted, ``predictions`` or ``labels``.

    Returns:
        The share of each layer in the positive contributions to a class, summed over the images of the class; a row
        adds up to 1, or to 0 where nothing contributes.
    """
    shares = np.zeros((len(selection.weights), len(layers)))
    layer_of_column = np.repeat(np.arange(len(layers)), [channels for _, channels in layers])[list(selection.columns)]
    for shard in table:
        z = selection.scaling.apply(shard["descriptors"][:, list(selection.columns)])
        for j in np.unique(shard[label][shard[label] >= 0]):
            evidence = (np.maximum(z[shard[label] == j], 0) * np.maximum(selection.weights[j], 0)).sum(axis=0)
            np.add.at(shares[j], layer_of_column, evidence)
    total = shares.sum(axis=1, keepdims=True)
    normalized: Float[np.ndarray, "classes layers"] = np.divide(
        shares, total, out=np.zeros_like(shares), where=total > 0
    )
    return normalized


def _diagnose(
    table: DescriptorTable,
    problem: Problem,
    solutions: Sequence[lasso.Solution],
    selection: Selection,
    path: MuPath,
    mus: Sequence[float],
    settings: FitSettings,
) -> Diagnostics:
    certificates = certify(table, problem, solutions, mus, LABELS[settings.labels], settings.signed)
    gaps = tuple(certificate.gap for certificate in certificates)
    fitted = table.column(LABELS[settings.labels])
    counts = [int((fitted == j).sum()) for j in range(len(settings.class_names))]
    labels, predictions = table.column("labels"), table.column("predictions")
    labels, predictions = labels[labels >= 0], predictions[labels >= 0]
    skipped = table.skipped()
    notes = [
        *skipped_note(skipped, settings.data.n_images),
        *near_chance_notes(labels, predictions),
        *solution_notes(settings.class_names, counts, solutions, gaps, settings.labels, mus),
    ]
    if isinstance(settings.mu, str) and path.best_at_edge:
        notes.append(f"mu = {path.best:g} is the largest that was tried, and the best")
    return Diagnostics(
        accuracy=accuracy(labels, predictions),
        fidelity=fidelity(table, problem, np.array(selection.columns, np.int64), selection.weights),
        gaps=gaps,
        violations=tuple(certificate.violation for certificate in certificates),
        complete=tuple(solution.complete for solution in solutions),
        images_per_class=dict(zip(settings.class_names, counts, strict=True)),
        skipped=dict(skipped),
        notes=tuple(notes),
        created=provenance.now(),
        versions=provenance.versions(),
    )
