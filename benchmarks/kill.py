"""A fit that is killed: SIGKILL at random moments, the same command again, and the weights of an undisturbed run.

    python benchmarks/kill.py SPEC DATA [--kills 10] [--seed 0]

Each round starts `vebi fit` afresh, kills it at a random moment of its running time, runs it again to its end and
compares all weights bit for bit with those of a run that nobody disturbed. Exit code 1 where any differs.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec")
    parser.add_argument("data")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)

    def fit(out: Path) -> subprocess.Popen:
        arguments = ["fit", options.spec, options.data, "--mu", "5", "--batch-size", "32", "--out", str(out)]
        command = [sys.executable, "-c", "from vebi.cli.main import main; main()", *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        if fit(Path(scratch) / "undisturbed").wait():
            sys.exit("the undisturbed run failed")
        seconds = time.perf_counter() - started
        expected = weights(Path(scratch) / "undisturbed")
        print(f"undisturbed: {seconds:.1f} s, {np.count_nonzero(expected)} weights that are not 0")
        differing = 0
        for k in range(options.kills):
            out = Path(scratch) / f"killed-{k}"
            moment = rng.uniform(0.2, 1) * seconds
            process = fit(out)
            time.sleep(moment)
            process.kill()
            process.wait()
            shards = len(list((out / "table").glob("*.safetensors"))) if out.exists() else 0
            same = fit(out).wait() == 0 and np.array_equal(weights(out), expected)
            differing += not same
            print(
                f"killed after {moment:5.1f} s with {shards} shards written: {'same' if same else 'DIFFERENT'} weights"
            )
    sys.exit(1 if differing else 0)


def weights(run: Path) -> np.ndarray:
    from vebi.interpretation.result import load

    return load(run).weights


if __name__ == "__main__":
    main()
