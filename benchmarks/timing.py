"""Two things timed in turns, and what is printed of it."""

import json
import statistics
import time
from collections.abc import Callable, Sequence


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def report(
    names: tuple[str, str],
    pairs: Sequence[tuple[float, float]],
    as_json: bool,
    before: Sequence[dict[str, object]] = (),
) -> None:
    """Prints the median seconds of both, and the median ratio of the second to the first.

    Args:
        names: What was timed.
        pairs: Seconds of both, a pair per round.
        as_json: Whether to print JSON.
        before: Rows that stand before the two, as {"what": ..., "seconds": ...}.
    """
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    rows = [*before, *({"what": name, "seconds": median} for name, median in zip(names, medians, strict=True))]
    ratio = statistics.median(b / a for a, b in pairs)
    if as_json:
        print(json.dumps({"rows": rows, "ratio": ratio}))
        return
    for row in rows:
        print(f"{row['what']:12} {row['seconds']:.3f} s")
    print(f"{'ratio':12} {ratio:.3f}")
