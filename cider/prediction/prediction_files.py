"""Predictions as files."""

from __future__ import annotations

from pathlib import Path

from cider.prediction.predictions import Predictions
from mer_data.errors import MerDataError
from mer_data.files.csv_files import write_csv
from mer_data.files.writing import complete_or_absent, refuse_overwrite

_SUFFIXES = (".csv", ".parquet")


def check_target(path: str | Path, *, force: bool) -> None:
    """Refuse, before any work, a file that ``write_predictions`` could not or should not write.

    Raises:
        MerDataError: neither CSV nor Parquet, or it exists and ``force`` is off.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise MerDataError(
            f"cannot tell the format of {path}",
            found=path.suffix or "no suffix",
            expected=" or ".join(_SUFFIXES),
        )
    refuse_overwrite(path, force=force, error=MerDataError)


def write_predictions(predictions: Predictions, path: str | Path) -> None:
    """Write the table as CSV or Parquet, by the suffix; the file appears only when complete."""
    path = Path(path)
    table = predictions.to_frame()
    if path.suffix == ".csv":
        write_csv(table, path)
        return
    with complete_or_absent(path) as partial:
        table.to_parquet(partial, index=False)
