"""The command that checks the installation: packages, devices."""

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json
from vebi.errors import VebiError, text_of
from vebi.provenance import is_of_torchvision, matching_torchvision


class Part(NamedTuple):
    """A package that vebi uses.

    Attributes:
        extra: The extra of vebi that installs it, None where vebi needs it always.
        purpose: What vebi uses it for.
        module: The module to import.
    """

    extra: str | None
    purpose: str
    module: str


PARTS = {
    "torch": Part(None, "networks", "torch"),
    "numpy": Part(None, "arrays", "numpy"),
    "pillow": Part(None, "images", "PIL.Image"),
    "safetensors": Part(None, "weights and runs", "safetensors"),
    "filelock": Part(None, "one process at a time for a folder", "filelock"),
    "scipy": Part(None, "the mu-Lasso, paired tests", "scipy.stats"),
    "jinja2": Part(None, "reports", "jinja2"),
    "mitsuba": Part("flowers", "rendering flowers", "mitsuba"),
    "torchvision": Part("models", "models by name: torchvision:NAME", "torchvision.models"),
    "timm": Part("models", "models by name: timm:NAME", "timm"),
    "captum": Part("peers", "methods to compare with", "captum.attr"),
    "grad-cam": Part("peers", "methods to compare with", "pytorch_grad_cam"),
}


@command()
def doctor(as_json: Json = False) -> None:
    """Check what is installed, what is missing and how to get it."""
    findings = examine()
    parts, machine = findings["parts"], findings["machine"]
    if as_json:
        console.print_json(findings)
    else:
        rows = [[name, part["version"] or "", part["purpose"], part["state"]] for name, part in parts.items()]
        console.table(["package", "version", "for", "state"], rows)
        console.table(["machine", ""], list(machine.items()))
    broken = [name for name, part in parts.items() if part["needed"] and part["state"] != "ok"]
    if broken:
        raise VebiError(f"{', '.join(broken)} cannot be used: pip install --force-reinstall vebi")


def examine() -> dict[str, Any]:
    """Examines the installation.

    Returns:
        ``vebi``: its version; ``parts``: every package with its version, purpose and state; ``machine``: Python,
        system, threads and devices.
    """
    return {"vebi": _version("vebi"), "parts": {name: _part(name) for name in PARTS}, "machine": _machine()}


def _part(package: str) -> dict[str, Any]:
    """Version, purpose and state of a package; the state says how to install one that is missing."""
    extra, purpose, module = PARTS[package]
    installed = _version(package)
    if installed is None:
        state = f"missing: pip install 'vebi[{extra}]'" if extra else "missing: pip install vebi"
    else:
        try:
            import_module(module)
            state = "ok"
        except Exception as error:  # a package that was built for another torch can raise anything
            reason = (text_of(error).splitlines() or [type(error).__name__])[0]
            pair = f", {matching_torchvision()} built for the same device" if is_of_torchvision(error) else ""
            state = f"cannot be imported ({reason}): install a version that goes with torch {_version('torch')}{pair}"
    return {"version": installed, "purpose": purpose, "needed": extra is None, "state": state}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, str]:
    machine = {"python": platform.python_version(), "system": platform.platform()}
    try:
        import torch
    except Exception:  # its part has the reason
        return machine
    gpus = [f"cuda:{k}, {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    return machine | {"threads": str(torch.get_num_threads()), "device": "; ".join(gpus) or "cpu (no CUDA device)"}
