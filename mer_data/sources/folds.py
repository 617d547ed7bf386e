"""Standard folds: which video is in train, valid or test."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from pathlib import Path

from mer_data.errors import SourceError
from mer_data.files.writing import read_json
from mer_data.sources.catalogue import Folds
from mer_data.utterances import FOLDS


def standard_folds(folds: Folds, source_folder: Path) -> dict[str, str]:
    """Fold of every listed video, from the SDK's lists or from a JSON file in the source folder.

    Raises:
        SourceError: the file is missing or broken, or a video is in two folds.
    """
    lists = _sdk_lists(folds.name) if folds.kind == "sdk" else _file_lists(source_folder / folds.name)
    where = f"the SDK's {folds.name}" if folds.kind == "sdk" else str(source_folder / folds.name)
    result: dict[str, str] = {}
    for fold, videos in lists.items():
        for video in videos:
            if video in result:
                raise SourceError(f"video {video} is in two folds ({result[video]}, {fold})", where=where)
            result[video] = fold
    return result


def _sdk_lists(name: str) -> dict[str, list[str]]:
    """The SDK's lists, from the file they are in: the SDK itself would import torch."""
    spec = find_spec("mmsdk")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    path = folder / "mmdatasdk/dataset/standard_datasets" / name.upper() / f"{name}_std_folds.py"
    if not path.is_file():
        raise SourceError(
            f"the CMU Multimodal SDK has no folds of {name}",
            where=path,
            do="Install it: pip install cmu-multimodal-sdk",
        )
    lists = runpy.run_path(str(path))
    return {fold: list(lists[f"standard_{fold}_fold"]) for fold in FOLDS}


def _file_lists(path: Path) -> dict[str, list[str]]:
    try:
        lists = read_json(path)
    except OSError as error:
        raise SourceError(f"cannot read the folds ({error.strerror})", where=path) from error
    except ValueError as error:
        raise SourceError(f"folds are not JSON ({error})", where=path) from error
    if not isinstance(lists, dict) or set(lists) != set(FOLDS):
        raise SourceError("folds need the keys train, valid and test", where=path)
    for fold in FOLDS:
        if not isinstance(lists[fold], list):
            raise SourceError(f"fold {fold!r} is not a list of videos", where=path)
        strange = [video for video in lists[fold] if not isinstance(video, str)]
        if strange:
            raise SourceError(
                f"fold {fold!r} has a video that is no text", where=path, found=repr(strange[0])[:80]
            )
    return {fold: list(lists[fold]) for fold in FOLDS}
