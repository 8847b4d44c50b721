"""How far the figures of the demo depend on its seed:  python benchmarks/demo_seeds.py DIR [--seeds 5] [--json]

The demo with the seeds 0, 1, ... in folders below DIR, which are used again where they are finished. Printed is each
figure with every seed, and its range: one processor, or one version of torch, gives one of these figures, another one
another.
"""

import argparse
import json
from pathlib import Path

from vebi import demo
from vebi.interpretation.result import load


def figures(folder: Path, seed: int) -> dict[str, float]:
    """Accuracy and areas under the IoU curve in percent, the number of features and the share of light ones."""
    summary = demo.run(folder, seed=seed)
    interpretation = load(folder / "run")
    weights = abs(interpretation.weights)
    shares = weights / weights.sum(axis=1, keepdims=True)
    return {
        "accuracy": 100 * summary["accuracy"],
        **summary["auc_iou"],
        "features per class": float((weights > 0).sum(axis=1).mean()),
        "lightest share": 100 * float(shares[shares > 0].min()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [figures(options.out / f"seed{seed}", seed) for seed in range(options.seeds)]
    if options.json:
        print(json.dumps(rows))
        return
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name}: {min(values):.1f} to {max(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})")


if __name__ == "__main__":
    main()
