"""Where the packaged manifests and recipes are: inside the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def resource_folder(package_file: str, name: str) -> Path:
    """Folder ``name`` beside the package's own files, else beside the package (a checkout).

    Args:
        package_file: ``__file__`` of the package's ``__init__``.
        name: "manifests" or "recipes".
    """
    package = Path(package_file).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
