"""Every interval of table 2 again, from the stored scores alone: ``python benchmarks/intervals.py [table2]``."""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

stem = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "table2")
table, scores = json.loads(stem.with_suffix(".json").read_text()), np.load(stem.with_suffix(".npz"))
rng, worst, checked = np.random.default_rng(1), 0.0, 0
for row in table["rows"]:
    key = f"{row['variant']}/{row['architecture']}/{{}}/auc_iou"
    own, default = (scores[key.format(method)].astype(float) for method in (row["method"], "vebi"))
    assert np.allclose(np.nanmean(own, axis=1) * 100, row["auc_iou"], atol=1e-3), (key, "means differ")
    if row["ratio_interval"] is None or row["method"] == "vebi":
        continue
    n, draws = len(own), []
    pairs = [np.stack(pair)[:, ~np.isnan(pair[0] + pair[1])] for pair in zip(own, default, strict=True)]
    for _ in range(10_000):  # networks, and within each its images, the same ones for both methods
        drawn = [pairs[k][:, rng.integers(pairs[k].shape[1], size=pairs[k].shape[1])] for k in rng.integers(n, size=n)]
        ours, theirs = np.mean([pair.mean(axis=1) for pair in drawn], axis=0)
        draws.append(ours / theirs)
    tail = norm.cdf(-np.sqrt(n / (n - 1)) * -t.ppf(0.025, n - 1))  # the expanded percentile interval, Hesterberg 2015
    interval = np.quantile(draws, [tail, 1 - tail])
    worst, checked = max(worst, np.abs(interval / row["ratio_interval"] - 1).max()), checked + 1
print(f"{checked} intervals; the largest relative difference of an end is {worst:.3f}")
