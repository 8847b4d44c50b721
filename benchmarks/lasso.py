"""The mu-Lasso solver compared with others: seconds per class, certificates, knots, memory.

    python benchmarks/lasso.py [--size 928|4096|19456] [--mu 10] [--json]      needs vebi[bench]

All solve the same problems on the same Gram matrix, which is computed once and listed by itself: synthetic
descriptors, not negative, correlated and normalised by layer as real ones are. The gap is the duality gap relative to
e/2, computed from G, b and e. scikit-learn's path may overwrite its Gram matrix; to copy one for it is not counted.
spgl1 and celer cannot take a Gram matrix; they work on the table itself, on a few classes. Every solver has a process
of its own, whose peak memory is listed; that of the first line is of the sums and the making of the descriptors.
"""

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vebi.lasso import certify, solve, solve_all
from vebi.lasso.moments import accumulate
from vebi.lasso.scaling import make_problem

#: features: (images, classes)
SIZES = {928: (4_800, 6), 4_096: (20_000, 100), 19_456: (50_000, 1_000)}
LAYER = 256
CHUNK = 2_000
FACTORS = 48
#: What all need, listed by itself: G, b and e.
SUMS = "sums (once)"
#: The largest size of which the table is kept for solvers that need it.
WITH_TABLE = 4_096


@dataclass(frozen=True)
class Problem:
    """``table`` and ``labels`` are for solvers that cannot take a Gram matrix, None where the table would not fit."""

    gram: np.ndarray
    b: np.ndarray
    e: np.ndarray
    mu: float
    table: np.ndarray | None
    labels: np.ndarray | None


def chunks(features: int, images: int, classes: int, seed: int = 0) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, descriptors, one-hot labels): channels that respond to shared factors, some of them to a class.

    A factor is a pattern that several channels see; a class has a profile of factors, an image a noisy one of its
    class. Channels are squares of what is left above a threshold (a ReLU's energy), divided by the sum of their layer;
    the row is scaled to length 1.
    """
    rng = np.random.default_rng(seed)
    profile = rng.gamma(0.5, size=(classes, FACTORS * max(1, classes // 25)))
    loading = rng.gamma(0.3, size=(profile.shape[1], features)) * (rng.random((profile.shape[1], features)) < 0.1)
    threshold = np.quantile(profile[rng.integers(classes, size=200)] @ loading, 0.4, axis=0)
    for k, start in enumerate(range(0, images, CHUNK)):
        count = min(CHUNK, images - start)
        labels = rng.integers(classes, size=count)
        mixed = profile[labels] * rng.gamma(2.0, 0.5, size=(count, profile.shape[1]))
        response = mixed @ loading * rng.lognormal(0, 0.3, size=(count, features)) - threshold
        energy = np.square(np.maximum(response, 0))
        for layer in range(0, features, LAYER):
            part = energy[:, layer : layer + LAYER]
            part /= np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
        energy /= np.maximum(np.linalg.norm(energy, axis=1, keepdims=True), 1e-12)
        yield f"chunk-{k}", energy, np.eye(classes)[labels]


def make(size: int, mu: float) -> tuple[Problem, float]:
    """A problem, and the seconds that its sums took without making the descriptors."""
    images, classes = SIZES[size]
    stored, waited = [], 0.0

    def timed_chunks() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        nonlocal waited
        source = chunks(size, images, classes)
        while True:
            started = time.perf_counter()
            chunk = next(source, None)
            waited += time.perf_counter() - started
            if chunk is None:
                return
            if size <= WITH_TABLE:
                stored.append(chunk[1:])
            yield chunk

    started = time.perf_counter()
    sums = make_problem(accumulate(timed_chunks(), size, classes), "plain", overwrite=True)
    seconds = time.perf_counter() - started - waited
    table, labels = (np.concatenate(part) for part in zip(*stored, strict=True)) if stored else (None, None)
    return Problem(sums.gram, sums.b, sums.energy, mu, table, labels), seconds


#: What a solver gives for one class: weights, and the number of knots where it has a path.
Result = tuple[np.ndarray, int | None]


def vebi(problem: Problem, j: int, _: float) -> Result:
    solution = solve(problem.gram, problem.b[:, j].copy(), float(problem.e[j]), problem.mu)
    return solution.weights, solution.knots


def sklearn_lars(problem: Problem, j: int, lam: float) -> Result:
    """The path of scikit-learn, down to the lambda at which ||w||_1 is mu."""
    from sklearn.linear_model import lars_path_gram

    _, _, knots = lars_path_gram(
        Xy=problem.b[:, j].copy(),
        Gram=problem.gram,
        n_samples=1,
        method="lasso",
        positive=True,
        alpha_min=lam,
        copy_Gram=False,
        max_iter=100_000,
    )
    return knots[:, -1], knots.shape[1] - 1


def spgl1(problem: Problem, j: int, _: float) -> Result:
    from spgl1 import norm_l1nn_dual, norm_l1nn_primal, norm_l1nn_project
    from spgl1 import spgl1 as solver

    w, *_ = solver(
        problem.table,
        problem.labels[:, j],
        tau=problem.mu,
        opt_tol=1e-6,
        iter_lim=20_000,
        project=norm_l1nn_project,
        primal_norm=norm_l1nn_primal,
        dual_norm=norm_l1nn_dual,
    )
    return w, None


def celer(problem: Problem, j: int, lam: float) -> Result:
    from celer import Lasso

    model = Lasso(alpha=lam / len(problem.table), positive=True, fit_intercept=False, tol=1e-10, max_iter=1000)
    return model.fit(problem.table, problem.labels[:, j]).coef_, None


#: Solvers and how many classes each gets: those that cannot take a Gram matrix are slow.
RIVALS = ((sklearn_lars, 20), (spgl1, 2), (celer, 4))
NEEDS_TABLE = (spgl1, celer)


def measure(size: int, mu: float) -> list[dict]:
    problem, seconds = make(size, mu)
    classes = problem.b.shape[1]
    sums = {"size": size, "solver": SUMS, "classes": classes, "seconds_per_class": seconds / classes}
    rows = [sums | dict.fromkeys(("max_relative_gap", "median_knots", "median_nonzeros")) | {"peak_mib": peak()}]
    rows.append(in_process(lambda: all_at_once(problem)))
    solved = solve_all(problem.gram, problem.b, problem.e, mu)
    lams = [float((problem.b[:, j] - problem.gram @ s.weights).max()) for j, s in enumerate(solved)]
    for solver, count in ((vebi, 20), *RIVALS):
        if problem.table is not None or solver not in NEEDS_TABLE:
            rows.append(in_process(lambda solver=solver, count=count: one_by_one(problem, solver, count, lams)))
    return rows


def in_process(work: Callable[[], dict]) -> dict:
    """The row that ``work`` returns, made in a process of its own, so that its peak memory is its own, too.

    The Gram matrix counts, and the table where that is kept.
    """
    context = multiprocessing.get_context("fork")  # which shares the problem
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(work() | {"peak_mib": peak()}))
    process.start()
    sender.close()
    result = receiver.recv()
    process.join()
    return result


def all_at_once(problem: Problem) -> dict:
    started = time.perf_counter()
    solved = solve_all(problem.gram, problem.b, problem.e, problem.mu)
    results = [(solution.weights, solution.knots) for solution in solved]
    return row(problem, "vebi, all classes at once", time.perf_counter() - started, range(len(results)), results)


def one_by_one(
    problem: Problem, solver: Callable[[Problem, int, float], Result], count: int, lams: Sequence[float]
) -> dict:
    classes, seconds, results = range(min(problem.b.shape[1], count)), 0.0, []
    warm_up(solver)
    for j in classes:
        copied = replace(problem, gram=problem.gram.copy()) if solver is sklearn_lars else problem
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # solvers warn of steps that they cut short; the gap shows it
            results.append(solver(copied, j, lams[j]))
        seconds += time.perf_counter() - started
    return row(problem, solver.__name__.replace("_", "-"), seconds, classes, results)


def warm_up(solver: Callable[[Problem, int, float], Result]) -> None:
    """Imports what a solver needs, and lets it compile, on a problem of no size."""
    small = Problem(np.eye(3), np.ones((3, 1)), np.full(1, 3.0), 1.0, np.eye(3), np.ones((3, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imports warn
        solver(small, 0, 0.5)


def row(problem: Problem, solver: str, seconds: float, classes: Sequence[int], results: Sequence[Result]) -> dict:
    gaps = []
    for j, (w, _) in zip(classes, results, strict=True):
        w = np.maximum(w, 0) * min(1.0, problem.mu / max(np.maximum(w, 0).sum(), 1e-300))  # feasible to the last digit
        gaps.append(certify(w, problem.gram, problem.b[:, j], float(problem.e[j]), problem.mu).gap)
    knots = [k for _, k in results if k is not None]
    return {
        "size": len(problem.gram),
        "solver": solver,
        "classes": len(classes),
        "seconds_per_class": seconds / len(classes),
        "max_relative_gap": max(gaps),
        "median_knots": float(np.median(knots)) if knots else None,
        "median_nonzeros": float(np.median([(w != 0).sum() for w, _ in results])),
    }


def peak() -> float:
    """The peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, choices=SIZES, default=928)
    parser.add_argument("--mu", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.size, options.mu)
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for r in rows:
        if r["solver"] == SUMS:
            seconds = r["seconds_per_class"] * r["classes"]
            print(f"{SUMS:26} {seconds:9.2f} s, peak {r['peak_mib']:.0f} MiB")
            continue
        knots = "" if r["median_knots"] is None else f"{r['median_knots']:.0f}"
        print(
            f"{r['solver']:26} {r['seconds_per_class']:9.4f} s per class ({r['classes']})  "
            f"gap {r['max_relative_gap']:8.1e}  knots {knots:>5}  selected {r['median_nonzeros']:.0f}  "
            f"peak {r['peak_mib']:.0f} MiB"
        )


if __name__ == "__main__":
    main()
