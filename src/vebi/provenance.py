"""What a result was made with."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "vebi",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "safetensors",
    "torchvision",
    "timm",
    "mitsuba",
)


def versions() -> dict[str, str]:
    """The versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
