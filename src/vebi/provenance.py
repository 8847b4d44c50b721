"""The versions, code and time that a result was computed with."""

import hashlib
import platform
import sys
import traceback
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

PACKAGES = (
    "vebi",
    "torch",
    "numpy",
    "scipy",
    "pillow",
    "safetensors",
    "torchvision",
    "timm",
    "mitsuba",
    "captum",
    "grad-cam",
    "zennit",
    "zennit-crp",
)


def versions() -> dict[str, str]:
    """The versions of Python and of every installed package that can change a result, by name."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def matching_torchvision() -> str:
    """The torchvision that goes with the torch that is installed: its number is 15 above, in the second place."""
    try:
        major, minor = version("torch").split(".")[:2]
    except PackageNotFoundError:
        major, minor = "", "0"
    return f"torchvision 0.{int(minor) + 15}" if major == "2" else "the torchvision of the same day"


def unimported(error: BaseException) -> list[str]:
    """The packages whose import an error stopped, the innermost last; none where it stopped something else."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames if frame.f_code.co_name == "<module>"]
    if isinstance(error, ImportError):
        modules.append(error.name or "")
    packages = dict.fromkeys(module.partition(".")[0] for module in modules)
    return [package for package in packages if package not in {"", "vebi", "__main__", *sys.stdlib_module_names}]


def is_of_torchvision(error: BaseException) -> bool:
    """Whether an error is that of a torchvision which does not fit its torch, or cannot be imported."""
    is_kind = isinstance(error, ImportError | RuntimeError)
    return "torchvision" in unimported(error) or (is_kind and "torchvision::" in repr(error.args))


def import_advice(error: BaseException, package: str) -> str:
    """What to install where a package cannot be imported.

    Args:
        error: What its import raised.
        package: The package that was imported; the fault may be one of torchvision under it.
    """
    if is_of_torchvision(error):
        torch = f"with torch {versions().get('torch', 'of any version')}"
        return f"{torch} goes {matching_torchvision()}, built for the same device; install them together"
    return f"pip install --force-reinstall {packages_distributions().get(package, [package])[0]}"


@cache
def code_sha256(without: tuple[str, ...] = ()) -> str:
    """The sha256 of vebi's own code, which tells results of two states of it apart.

    Args:
        without: Folders and files below the package that cannot change the result, as ``"cli"``.
    """
    root, digest = Path(__file__).parent, hashlib.sha256()
    left_out = [root / name for name in without]
    for path in sorted(root.rglob("*.py")):
        if not any(path == name or name in path.parents for name in left_out):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def now() -> str:
    """The time in UTC to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
