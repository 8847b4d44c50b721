"""Whether what was read from a run can be an interpretation: a file can be intact and yet not be what was written."""

import numpy as np

from vebi.interpretation.checks import are_all, are_indices, are_shares, is_array, is_count, is_number, is_share
from vebi.interpretation.diagnostics import Diagnostics
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.serialization import SavedFields
from vebi.interpretation.settings import AUTO
from vebi.interpretation.stability import Stability
from vebi.lasso.scaling import Scaling

#: By how much runs of earlier versions may have a share of variance above 1.
ROUNDING = 1e-9


def validate(saved: SavedFields) -> None:
    """Checks that the fields of an interpretation belong together, so that no wrong number comes out of them.

    Raises:
        ValueError: They do not; names those that cannot be.
        TypeError, AttributeError, IndexError: A value is of another type.
    """
    settings, weights, names, columns = saved["settings"], saved["weights"], saved["class_names"], saved["columns"]
    classes, features = len(names), len(saved["features"])
    channels = sum(count for _, count in settings.layers)
    sound = {
        "class_names": classes == len(set(names)) > 1 and names == settings.class_names,
        "columns": features == len(set(columns)) and all(_is_column(column, channels) for column in columns),
        "mus": len(saved["mus"]) == classes
        and all(is_number(mu) and mu > 0 and settings.mu in (AUTO, None, mu) for mu in saved["mus"]),
        "layer_shares": is_array(saved["layer_shares"], np.float64, (classes, len(settings.layers)))
        and are_shares(np.nan_to_num(saved["layer_shares"])),
        "scaling": _is_scaling(saved["scaling"], classes, features),
        "weights": is_array(weights, np.float64, (classes, features)) and _obey(weights, saved["mus"], settings.signed),
        "exemplars": all(map(_is_exemplar, saved["exemplars"])),
        "path": _is_path(saved["mu_path"], classes, channels, settings.signed),
        "stability": saved["stability"] is None or _is_stability(saved["stability"], weights, channels),
        **_sound_diagnostics(saved["diagnostics"], names),
    }
    wrong = [name for name, right in sound.items() if not right]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be")


def _obey(weights: np.ndarray, mus: tuple[float, ...], signed: bool) -> bool:
    """Whether weights are within the bounds that they were fitted with, but for rounding."""
    norms, bounds = abs(weights).sum(axis=1), np.array(mus) * (1 + 1e-9)
    return bool(np.isfinite(weights).all() and (signed or not (weights < 0).any()) and (norms <= bounds).all())


def _sound_diagnostics(diagnostics: Diagnostics, class_names: tuple[str, ...]) -> dict[str, bool]:
    """Diagnostic -> whether it can be."""
    classes, counts = len(class_names), diagnostics.images_per_class
    gaps, violations, skipped = diagnostics.gaps, diagnostics.violations, diagnostics.skipped
    return {
        "accuracy": diagnostics.accuracy is None or is_share(diagnostics.accuracy),
        "fidelity": is_share(diagnostics.fidelity),
        "gaps": len(gaps) == classes and all(is_number(gap) and gap > -1e-9 for gap in gaps),
        "violations": len(violations) == classes and all(map(is_number, violations)),
        "complete": len(diagnostics.complete) == classes and are_all(bool, *diagnostics.complete),
        "images_per_class": isinstance(counts, dict)
        and tuple(counts) == class_names
        and all(map(is_count, counts.values())),
        "skipped": isinstance(skipped, dict) and are_all(str, *skipped.values()),
        "notes": are_all(str, *diagnostics.notes),
        "created": are_all(str, diagnostics.created),
        "versions": isinstance(diagnostics.versions, dict) and are_all(str, *diagnostics.versions.values()),
    }


def _is_path(path: MuPath, classes: int, channels: int, signed: bool) -> bool:
    values, rows, folds = len(path.mus), len(path.class_index), len(path.fidelity)
    arrays = (
        (path.mus, np.float64, (values,)),
        (path.candidates, np.bool_, (values,)),
        (path.r2, np.float64, (folds, values, classes)),
        (path.fidelity, np.float64, (folds, values)),
        (path.class_index, np.int64, (rows,)),
        (path.columns, np.int64, (rows,)),
        (path.entry_mu, np.float64, (rows,)),
        (path.weights, np.float64, (rows, values)),
        (path.fit_r2, np.float64, (folds, classes)),
        (path.fit_fidelity, np.float64, (folds,)),
        (path.end_mu, np.float64, (classes,)),
    )
    return (
        all(is_array(*array) for array in arrays)
        and values > 0
        and folds > 0
        and bool((path.mus > 0).all() and (np.diff(path.mus) > 0).all() and path.candidates.any())
        and all(not (r2 > 1 + ROUNDING).any() and not np.isinf(r2).any() for r2 in (path.r2, path.fit_r2))
        and all(
            are_shares(fidelity[np.isfinite(fidelity)]) and not np.isinf(fidelity).any()
            for fidelity in (path.fidelity, path.fit_fidelity)
        )
        and len(set(zip(path.class_index.tolist(), path.columns.tolist(), strict=True))) == rows
        and are_indices(path.class_index, classes)
        and are_indices(path.columns, channels)
        and bool((path.entry_mu >= 0).all() and np.isfinite(path.entry_mu).all() and np.isfinite(path.weights).all())
        and (signed or not (path.weights < 0).any())
        and bool((path.end_mu >= 0).all())
    )


def _is_scaling(scaling: Scaling, classes: int, features: int) -> bool:
    arrays = ((scaling.center, features), (scaling.scale, features), (scaling.constants, classes))
    return all(is_array(array, np.float64, (n,)) and bool(np.isfinite(array).all()) for array, n in arrays) and bool(
        (scaling.scale > 0).all()
    )


def _is_stability(stability: Stability, weights: np.ndarray, channels: int) -> bool:
    alone, group = stability.selection_probability, stability.group_probability
    if not all(is_array(shares, np.float64, weights.shape) for shares in (alone, group)):
        return False
    unknown = np.isnan(alone).all(axis=1) & np.isnan(group).all(axis=1)  # of classes of a single image
    known = alone[~unknown], group[~unknown]
    return (
        is_count(stability.n_subsamples)
        and stability.n_subsamples > 0
        and all(map(are_shares, known))
        and bool((known[1] >= known[0]).all() and not known[1][weights[~unknown] == 0].any())
        and len(stability.correlated_features) == weights.shape[1]
        and all(
            _is_column(column, channels) and is_number(correlation) and 0 < correlation <= 1
            for features in stability.correlated_features
            for column, correlation in features
        )
    )


def _is_exemplar(exemplar: Exemplar) -> bool:
    sizes = (exemplar.positions or (1, 1), exemplar.receptive_field)
    return (
        isinstance(exemplar.feature.layer, str)
        and is_count(exemplar.feature.channel)
        and all(len(size) == 2 and all(is_count(side) and side > 0 for side in size) for size in sizes)
        and is_count(exemplar.count)
        and all(map(is_count, exemplar.predicted.values()))
        and exemplar.count == sum(exemplar.predicted.values())
        and are_all(str, *exemplar.image_ids)
        and len(exemplar.image_ids) == len(exemplar.spotlights)
        and is_number(exemplar.contrast)
        and (exemplar.consistency is None or is_number(exemplar.consistency))
        and all(image.is_whole for image in (exemplar.average, *exemplar.spotlights))
    )


def _is_column(value: object, channels: int) -> bool:
    return isinstance(value, int) and is_count(value) and value < channels
