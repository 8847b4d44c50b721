"""Writes docs/commands.md from the output of `vebi --help`:  python docs/commands.py"""

import contextlib
import io
import os
import sys
from pathlib import Path

from vebi.cli.main import main

PAGE = Path(__file__).with_name("commands.md")
COMMANDS = (
    "layers", "audit", "fit", "path", "explain", "report", "flowers", "train", "demo", "bench", "bench table1",
    "bench table2", "bench run", "bench images", "doctor",
)  # fmt: skip
INTRODUCTION = """# The commands

Data or `--json` goes to stdout; progress, notes and errors go to stderr. Exit codes: 0 done, 1 the run failed, 2 usage
(an option or argument is not valid), 3 bad input (a file, folder, model or run cannot be used), 130 interrupted.
With `VEBI_DEBUG=1` in the environment an error is shown with its traceback, and so is what a model raised.

Options and arguments can be kept in a TOML file, with a table per command; the command line takes precedence:

```toml
[fit]
spec = "network.py:build"
data = "images/train"
out = "run"
mu = 5
layers = ["layer3.*", "layer4.*"]

[report]
run = "run"
images = "images/test"
model = "network.py:build"
```

```sh
vebi fit --config vebi.toml
vebi report --config vebi.toml --out report.html
```

What follows is the output of every command with `--help`.
"""


def page() -> str:
    """The whole page as text."""
    parts = [INTRODUCTION]
    for command in ((), *(tuple(name.split()) for name in COMMANDS)):
        line = " ".join(("vebi", *command))
        parts.append(f"## {line}\n\n```\n{help_text(*command)}```\n")
    return "\n".join(parts)


def help_text(*command: str) -> str:
    """The output of a command with --help, at a width that fits the page."""
    os.environ["COLUMNS"] = "100"
    sys.argv = ["vebi", *command, "--help"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main()
    return output.getvalue()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
