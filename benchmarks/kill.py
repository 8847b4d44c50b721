"""Commands that are killed, and what is left when the same command is given again.

    python benchmarks/kill.py [--kills 100] [--seed 0] [--only fit]

Small flowers are rendered and a network is trained on them; then every round takes one of the commands that write
something, kills it (SIGKILL) at a random moment or before one of the changes that it makes to files, runs it again to
its end, and compares what it wrote with what a process wrote that nobody disturbed. In every second round two
processes are started into the same place, of which one is killed, and the other may be refused or may do the work.
Printed are all rounds; exit code 1 where anything differs or a command that is given again fails.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Runs vebi in this process, and kills it before the given change to files: files opened for writing, renamed, removed.
KILLED_AT = """
import os, signal, sys
left = int(sys.argv.pop(1))
def count(event, arguments):
    global left
    writes = event == "open" and arguments[1] in ("w", "wb", "xb", "r+b", "a") and "vebi-kill" in str(arguments[0])
    if writes or event in ("os.rename", "os.remove", "os.mkdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
from vebi.cli.main import main
main()
"""
PLAIN = "from vebi.cli.main import main; main()"
#: More than the changes that any command makes to files.
CHANGES = 40


@dataclass(frozen=True)
class Command:
    """A command that writes something.

    Attributes:
        words: The command line but for where it writes.
        out: Name of what it writes.
        content: What is compared, from the path of what it wrote.
    """

    words: tuple[str, ...]
    out: str
    content: Callable[[Path], object]


def weights(path: Path) -> object:
    from vebi.interpretation.result import load

    return load(path).weights.tobytes()


def explanations(path: Path) -> object:
    rows = json.loads((path / "explanations.json").read_text())["explanations"]
    arrays = {p.name: {n: a.tobytes() for n, a in np.load(p).items()} for p in sorted(path.glob("*.npz"))}
    return rows, arrays, sorted(p.name for p in path.iterdir() if not p.name.startswith("."))


def page(path: Path) -> object:
    return re.sub(r"\d{4}-\d\d-\d\d[T ][\d:+.Z]*", "", path.read_text())


def tree(path: Path) -> object:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*.png"))}


def tensors(path: Path) -> object:
    from safetensors.numpy import load_file

    return {name: array.tobytes() for name, array in load_file(path).items()}


def scores(path: Path) -> object:
    return json.loads((path / "table.json").read_text())["rows"]


def commands(base: Path) -> dict[str, Command]:
    """Every command that writes, on what lies in a folder; they take seconds each."""
    flowers, network, run = str(base / "flowers"), str(base / "n.safetensors"), str(base / "run")
    images = str(base / "flowers" / "images" / "red")
    small = ("--per-class", "1", "--mosaics", "0", "--mu", "5")
    return {
        "fit": Command(("fit", network, flowers, "--mu", "5", "--batch-size", "8"), "run", weights),
        "explain": Command(("explain", run, images, "--batch-size", "1"), "explained", explanations),
        "report": Command(("report", run, "--images", flowers), "r.html", page),
        "path": Command(("path", run), "p.svg", lambda path: path.read_bytes()),
        "flowers": Command(("flowers", "--images-per-class", "4"), "flowers", tree),
        "train": Command(("train", flowers, "--epochs", "3"), "n.safetensors", tensors),
        "bench": Command(("bench", "run", "--data", flowers, "--model", network, *small), "bench", scores),
    }


def start(command: Command, out: Path, kill_before: int | None = None) -> subprocess.Popen:
    place = (str(out),) if command.words[0] == "flowers" else ("--out", str(out))
    code = (PLAIN,) if kill_before is None else (KILLED_AT, str(kill_before))
    words = [sys.executable, "-c", *code, *command.words[:1], *place, *command.words[1:]]
    if command.words[0] == "bench":  # a group comes first
        words = [sys.executable, "-c", *code, *command.words[:2], *place, *command.words[2:]]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def undisturbed(command: Command, scratch: Path) -> tuple[float, object]:
    """The seconds that a command takes and what it writes."""
    out = scratch / "undisturbed" / command.out
    out.parent.mkdir(parents=True)
    started = time.perf_counter()
    if start(command, out).wait():
        sys.exit(f"the undisturbed {command.words} failed")
    return time.perf_counter() - started, command.content(out)


def one_round(command: Command, folder: Path, seconds: float, rng: random.Random, *, two: bool) -> tuple[str, Path]:
    """Kills the command, and another of two processes goes on; says when, and where it wrote."""
    folder.mkdir(parents=True)
    out = folder / command.out
    other = None
    if rng.random() < 0.5:
        change = rng.randint(1, CHANGES)
        process, moment = start(command, out, change), f"before change {change}"
        if two:
            time.sleep(rng.uniform(0, seconds))
            other = start(command, out)
        process.wait()
    else:
        wait = rng.uniform(0.2, 1) * seconds
        process, moment = start(command, out), f"after {wait:.1f} s"
        if two:
            time.sleep(rng.uniform(0, wait))
            other = start(command, out)
        time.sleep(wait)
        process.kill()
        process.wait()
    if other is not None:
        moment += f", the other one ended with {other.wait()}"
    return moment, out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="Only this command.")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="vebi-kill-") as name:
        scratch = Path(name)
        base = scratch / "base"
        base.mkdir()
        known = commands(base)
        for part in ("flowers", "train", "fit"):
            if start(known[part], base / known[part].out).wait():
                sys.exit(f"{part} failed")
        chosen = [options.only] if options.only else list(known)
        expected = {part: undisturbed(known[part], scratch / part) for part in chosen}
        wrong = 0
        for k in range(options.kills):
            part = chosen[k % len(chosen)]
            command, (seconds, content) = known[part], expected[part]
            two = k // len(chosen) % 2 == 1
            moment, out = one_round(command, scratch / str(k), seconds, rng, two=two)
            code = start(command, out).wait()
            left = [p.name for p in out.parent.rglob("*.partial")]
            same = code == 0 and command.content(out) == content and not left
            wrong += not same
            verdict = "same" if same else f"WRONG, exit code {code}, {left}"
            print(f"{k:3} {part:8} killed {moment}: {verdict}", flush=True)
    print(f"{options.kills - wrong} of {options.kills} as if nobody had disturbed them")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
