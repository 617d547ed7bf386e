from base64 import b64decode
from pathlib import Path

import pytest

ONE_PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def quick_figures(monkeypatch):
    """Figures are made as ever and saved as one pixel: drawing takes most of the time of a report."""

    def save(figure, path, *, format, **_):
        Path(path).write_bytes(ONE_PIXEL if format == "png" else b"%PDF")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
