"""How long commands take beside another state of vebi:  python benchmarks/against.py OTHER [--rounds 5] [--only fit]

OTHER is a folder with that state, such as ``git worktree add /tmp/other v1``; it runs with the same interpreter and
packages. Flowers are rendered and a network is trained once, by this state; then every command is run by both in turns,
in processes of their own. Printed is the time of the processor (of all threads) that this state takes, divided by that
of the other: the median of the rounds, and their range.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CODE = "from vebi.cli.main import main; main()"
HERE = Path(__file__).parents[1]


def seconds(source: Path, *words: str) -> float:
    """Processor time of a command by one state of vebi."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    subprocess.run([sys.executable, "-c", CODE, *words], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(base: Path, out: Path) -> dict[str, tuple[str, ...]]:
    network, images = str(base / "n.safetensors"), str(base / "flowers" / "images")
    return {
        "layers": ("layers", network),
        "fit": ("fit", network, images, "--mu", "5", "--out", str(out)),
        "explain": ("explain", str(base / "run"), f"{images}/red", "--out", str(out)),
        "report": ("report", str(base / "run"), "--images", images, "--out", f"{out}.html"),
        "flowers": ("flowers", str(out), "--images-per-class", "12"),
        "train": ("train", images, "--epochs", "2", "--out", f"{out}.safetensors"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (options.other / "src" / "vebi").is_dir():
        parser.error(f"{options.other} has no src/vebi")
    ratios = {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        seconds(HERE, "flowers", str(base / "flowers"), "--images-per-class", "60")
        seconds(HERE, "train", str(base / "flowers"), "--epochs", "2", "--out", str(base / "n.safetensors"))
        # by the other state, since a state reads the runs of earlier ones
        seconds(options.other, "fit", str(base / "n.safetensors"), str(base / "flowers"), "--out", str(base / "run"))
        for command in [options.only] if options.only else list(commands(base, base)):
            pairs = [
                [seconds(source, *commands(base, base / f"{command}{k}{source.name}")[command]) for source in order]
                for k in range(options.rounds)
                for order in [(HERE, options.other)]
            ]
            ratios[command] = [here / other for here, other in pairs]
            if not options.json:
                median = statistics.median(ratios[command])
                print(f"{command}: {median:.3f} ({min(ratios[command]):.3f} to {max(ratios[command]):.3f})", flush=True)
    if options.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
