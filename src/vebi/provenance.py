"""The versions, code and time that a result was computed with."""

import hashlib
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
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
