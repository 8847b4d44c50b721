"""The flowers at full size: rendering, training, and the memory of a fit on 2,000 and on 12,000 images.

    python benchmarks/full_size.py DIR [--json]

Runs the commands of vebi as a user would, each in a process of its own, and prints their seconds and peak memory.
Needs about 16 minutes on 2 cores and 1.5 GB in DIR; what the folder holds already is used again and then not timed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

VARIANTS = ("single-6c", "double-12c")
FITS = 3  # the median counts: an allocator is not quite the same twice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = options.folder
    rows = []
    for variant in VARIANTS:
        data, checkpoint = folder / variant, folder / f"{variant}.safetensors"
        rows.append(run(f"render {variant}", "flowers", data, "--variant", variant))
        rows.append(run(f"train {variant}", "train", data, "--out", checkpoint))
        rows[-1]["accuracy"] = accuracy(checkpoint)
    for variant in (*VARIANTS, "shape-6c"):
        data = folder / f"{variant}-meadow"
        rows.append(run(f"render {variant} meadow", "flowers", data, "--variant", variant, "--scene", "meadow"))
    for count in (2_000, 12_000):
        part = subset(folder / "double-12c" / "images", folder / f"part-{count}", count)
        out = folder / f"run-{count}-{time.time_ns()}"
        checkpoint = folder / "double-12c.safetensors"
        fits = [run(f"fit {count}", "fit", checkpoint, part, "--mu", "5", "--out", out / str(k)) for k in range(FITS)]
        rows.append(sorted(fits, key=lambda row: row["peak_mib"])[FITS // 2])
    ratio = rows[-1]["peak_mib"] / rows[-2]["peak_mib"]
    if options.json:
        print(json.dumps({"rows": rows, "memory_ratio": ratio}))
        return
    for row in rows:
        extra = f"  accuracy {row['accuracy']:.2%}" if "accuracy" in row else ""
        print(f"{row['what']:26} {row['seconds']:8.1f} s {row['peak_mib']:8.0f} MiB{extra}")
    print(f"peak memory of a fit on 12,000 images against 2,000: {ratio:.3f}")


def run(what: str, *arguments: object) -> dict:
    """One command of vebi: its wall seconds and the peak memory of its process."""
    started = time.perf_counter()
    command = [sys.executable, "-c", "from vebi.cli.main import main; main()", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{what} ended with status {status}")
    return {"what": what, "seconds": time.perf_counter() - started, "peak_mib": usage.ru_maxrss / 1024}


def accuracy(checkpoint: Path) -> float:
    from vebi.models.weights import read_note

    return read_note(checkpoint)["result"]["accuracy"]


def subset(images: Path, part: Path, count: int) -> Path:
    """A tree of links to about ``count`` images, the same share of every class."""
    for folder in sorted(images.iterdir()):
        paths = sorted(folder.iterdir())
        (part / folder.name).mkdir(parents=True, exist_ok=True)
        for path in paths[: round(count / len(VARIANTS) / 6)]:
            link = part / folder.name / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    return part


if __name__ == "__main__":
    main()
