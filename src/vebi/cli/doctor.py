"""What is installed, what runs where, and what is missing."""

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vebi.cli import console
from vebi.cli.options import Config, Json
from vebi.errors import VebiError

#: Package -> (the extra it belongs to, None where vebi cannot be without it; what it is for; the module to try).
PARTS = {
    "torch": (None, "the networks", "torch"),
    "numpy": (None, "arrays", "numpy"),
    "pillow": (None, "pictures", "PIL.Image"),
    "safetensors": (None, "weights and runs", "safetensors"),
    "scipy": (None, "the mu-Lasso, paired tests", "scipy.stats"),
    "jinja2": (None, "reports", "jinja2"),
    "mitsuba": ("flowers", "renders the flowers", "mitsuba"),
    "torchvision": ("models", "models by name: torchvision:NAME", "torchvision.models"),
    "timm": ("models", "models by name: timm:NAME", "timm"),
    "captum": ("peers", "its methods beside vebi's", "captum.attr"),
    "grad-cam": ("peers", "its methods beside vebi's", "pytorch_grad_cam"),
}


def doctor(as_json: Json = False, config: Config = None) -> None:
    """Say what is installed, what is missing and how to get it."""
    with console.guarded():
        found = examine()
        if as_json:
            console.print_json(found)
        else:
            console.table(
                ["part", "version", "for", "state"],
                [
                    [name, part["version"] or "", part["purpose"], part["state"]]
                    for name, part in found["parts"].items()
                ],
            )
            console.table(["machine", ""], [[name, text] for name, text in found["machine"].items()])
        broken = [name for name, part in found["parts"].items() if part["needed"] and part["state"] != "ok"]
        if broken:
            raise VebiError(f"{', '.join(broken)} cannot be used: pip install --force-reinstall vebi")


def examine() -> dict[str, Any]:
    """``parts``: every package with its version, purpose and state; ``machine``: where it would run."""
    return {"vebi": _version("vebi"), "parts": {name: _part(name) for name in PARTS}, "machine": _machine()}


def _part(package: str) -> dict[str, Any]:
    extra, purpose, module = PARTS[package]
    installed = _version(package)
    if installed is None:
        state = f"missing: pip install 'vebi[{extra}]'" if extra else "missing: pip install vebi"
    else:
        try:
            import_module(module)
            state = "ok"
        except Exception as error:  # a package built for another torch fails in ways of its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            state = f"cannot be imported ({reason}): install a version that goes with torch {_version('torch')}"
    return {"version": installed, "purpose": purpose, "needed": extra is None, "state": state}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, str]:
    about = {"python": platform.python_version(), "system": platform.platform()}
    try:
        import torch
    except Exception:  # said among the parts
        return about
    gpus = [f"cuda:{k}, {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    return about | {"threads": str(torch.get_num_threads()), "device": "; ".join(gpus) or "cpu (no CUDA device)"}
