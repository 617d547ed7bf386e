"""Where the packaged manifests and recipes are: inside the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def resource_folder(package: Path, name: str) -> Path:
    """Folder ``name`` inside the package (a wheel), else next to the package (a checkout).

    Args:
        package: the folder of the package.
        name: "manifests" or "recipes".
    """
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
