"""Every interval of table 2 again, from the stored scores alone: ``python benchmarks/intervals.py [table2 [0.1]]``.

The second number is how far an end may be from that of the table, as a share of it.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

stem = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "table2")
most = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
table, scores = json.loads(stem.with_suffix(".json").read_text()), np.load(stem.with_suffix(".npz"))
rng, draws, worst, checked = np.random.default_rng(1), 10_000, 0.0, 0
for row in table["rows"]:
    key = f"{row['variant']}/{row['architecture']}/{{}}/auc_iou"
    own, default = (scores[key.format(method)].astype(float) for method in (row["method"], "vebi"))
    assert np.allclose(np.nanmean(own, axis=1) * 100, row["auc_iou"], atol=1e-3), (key, "means differ")
    if row["ratio_interval"] is None or row["method"] == "vebi":
        continue
    pairs = [np.stack(pair)[:, ~np.isnan(pair[0] + pair[1])] for pair in zip(own, default, strict=True)]
    n, sums = len(pairs), np.zeros((2, draws))
    for _ in range(n):  # a network, and as many of its images as it has, the same ones for both methods
        drawn = rng.integers(n, size=draws)
        for k, pair in enumerate(pairs):
            images = rng.integers(pair.shape[1], size=((drawn == k).sum(), pair.shape[1]))
            sums[:, drawn == k] += pair[:, images].mean(axis=2)
    tail = norm.cdf(np.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1))  # the expanded percentile interval, Hesterberg 2015
    low, high = np.quantile(sums[0] / sums[1], [tail, 1 - tail])
    beyond = min((sums[0] <= sums[1]).mean(), (sums[0] >= sums[1]).mean()).clip(1 / draws, 0.5)
    p = 2 * t.cdf(norm.ppf(beyond) * np.sqrt((n - 1) / n), n - 1)  # the smallest 1 - level that excludes 1
    difference = np.abs(np.divide([low, high], row["ratio_interval"]) - 1).max()
    assert (row["p"] < 0.05) == (not row["ratio_interval"][0] <= 1 <= row["ratio_interval"][1]), (key, "p and interval")
    assert max(difference, abs(p - row["p"])) < most, (key, row["method"], low, high, p)
    worst, checked = max(worst, difference), checked + 1
print(f"{checked} intervals and p-values; the largest relative difference of an end is {worst:.3f}")
