"""Standard folds: which video is in train, valid or test."""

from __future__ import annotations

import json
from pathlib import Path

from mer_data.errors import SourceError
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
    from mmsdk import mmdatasdk

    lists = getattr(mmdatasdk, name).standard_folds
    return {fold: list(getattr(lists, f"standard_{fold}_fold")) for fold in FOLDS}


def _file_lists(path: Path) -> dict[str, list[str]]:
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read the folds ({error.strerror})", where=path) from error
    except ValueError as error:
        raise SourceError(f"folds are not JSON ({error})", where=path) from error
    if not isinstance(lists, dict) or set(lists) != set(FOLDS):
        raise SourceError("folds need the keys train, valid and test", where=path)
    for fold in FOLDS:
        if not isinstance(lists[fold], list):
            raise SourceError(f"fold {fold!r} is not a list of videos", where=path)
    return {fold: [str(video) for video in lists[fold]] for fold in FOLDS}
