"""``SplitManifest``: which utterance is in which fold, by id, with how it was made and how far it shifts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SplitError
from mer_data.files.writing import read_json, sha256_text, write_json
from mer_data.utterances import FOLDS, DroppedUtterance

FORMAT = "mer-data/split"
VERSION = 1
MAKE_AGAIN = "Make a split of the store with `mer-data standard-split` or `mer-data repartition`"

SplitTask = Literal["binary", "seven", "any"]
SplitKind = Literal["standard", "ood", "cross_dataset"]

_FIELD_TYPES: dict[str, type] = {
    "dataset": str,
    "task": str,
    "kind": str,
    "generator": dict,
    "utterance_digest": str,
    "splits": dict,
    "dropped": list,
    "shift": dict,
}
_HEADER = ("format", "version")


@dataclass(frozen=True)
class SplitManifest:
    """A split of one corpus. It holds ids, never features: one store serves any number of splits.

    Attributes:
        dataset: name of the corpus.
        task: the task that the split was made for, or "any".
        kind: "standard" (published folds), "ood" (shifted words) or "cross_dataset".
        generator: name, parameters and seed of what made the split.
        utterance_digest: ``utterance_digest`` of the store that it was made from.
        splits: utterance ids of "train", "valid" and "test", sorted.
        dropped: utterances in no fold, with reasons, sorted by id.
        shift: the measures of ``mer_data.splits.shift.measure.ShiftMeter.measure``.

    Raises:
        SplitError: unknown task, kind or fold; a fold without ids (other than in "cross_dataset");
            an id that occurs twice, within a fold, across folds or among the dropped.
    """

    dataset: str
    task: SplitTask
    kind: SplitKind
    generator: dict[str, Any]
    utterance_digest: str
    splits: dict[str, tuple[str, ...]]
    dropped: tuple[DroppedUtterance, ...]
    shift: dict[str, Any]

    def __post_init__(self) -> None:
        """Check the parts and put the ids in order."""
        _check_choice("task", self.task, get_args(SplitTask))
        _check_choice("kind", self.kind, get_args(SplitKind))
        if set(self.splits) != set(FOLDS):
            raise SplitError("wrong folds", found=sorted(self.splits), expected=" and ".join(FOLDS))
        for fold in FOLDS:
            if not self.splits[fold] and self.kind != "cross_dataset":
                raise SplitError(f'fold "{fold}" is empty', expected="at least one utterance")
        _check_distinct(self.splits, self.dropped)
        ordered = {fold: tuple(sorted(self.splits[fold])) for fold in FOLDS}
        object.__setattr__(self, "splits", ordered)
        object.__setattr__(self, "dropped", tuple(sorted(self.dropped, key=lambda drop: drop.id)))

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values, in the order of the file."""
        value = {"format": FORMAT, "version": VERSION, **asdict(self)}
        value["splits"] = {fold: list(ids) for fold, ids in self.splits.items()}
        value["dropped"] = list(value["dropped"])
        return value

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON (sorted keys, no spaces), whatever the file's layout."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256_text(canonical)

    def save(self, path: str | Path) -> None:
        """Write the manifest as JSON; equal manifests give equal bytes."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> SplitManifest:
        """Read a manifest.

        Raises:
            SplitError: the file is absent, is not JSON, has another format or a newer version, lacks a
                key or has an unknown one, or fails the checks of the class.
        """
        path = Path(path)
        if not path.is_file():
            raise SplitError(f"no split manifest {path}", do=MAKE_AGAIN)
        try:
            value = read_json(path)
        except ValueError as error:
            raise SplitError("not a JSON file", where=path, found=error) from error
        try:
            return _parse(value)
        except SplitError as error:
            raise SplitError(f"split manifest {path}: {error}") from error

    def check_store(self, utterance_digest: str, ids: Iterable[str], store_path: Path) -> None:
        """Refuse a store that the manifest was not made from.

        Args:
            utterance_digest: the store's digest of ids, labels and texts.
            ids: the store's utterance ids.
            store_path: the store, for the message.

        Raises:
            SplitError: the digests differ, or an id of the manifest is not in the store.
        """
        if utterance_digest != self.utterance_digest:
            raise SplitError(
                f"the split manifest was made from another store than {store_path}",
                found=self.utterance_digest,
                expected=utterance_digest,
                do=f"{MAKE_AGAIN}, or apply it by ids with `mer-data repartition --from-manifest PATH`",
            )
        self._rows_of(ids, where=store_path)

    def indices(self, ids: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """Rows of every fold in a store whose utterance ids are ``ids``, in the store's order.

        Raises:
            SplitError: an id of the manifest is not among ``ids``.
        """
        row_of = self._rows_of(ids, where="the store")
        return {
            fold: np.sort(np.array([row_of[name] for name in names], dtype=np.int64))
            for fold, names in self.splits.items()
        }

    def _rows_of(self, ids: Iterable[str], where: str | Path) -> dict[str, int]:
        """Row of every id, after the check that all ids of the manifest are there."""
        row_of = {name: row for row, name in enumerate(ids)}
        unknown = [name for fold in FOLDS for name in self.splits[fold] if name not in row_of]
        if unknown:
            raise SplitError(
                f"{len(unknown)} utterances of the split manifest are missing",
                where=where,
                found=f"no {unknown[0]}",
                do=MAKE_AGAIN,
            )
        return row_of


def _parse(value: Any) -> SplitManifest:
    """A manifest from decoded JSON; errors do not name the file."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise SplitError("not a split manifest", found=repr(found), expected=f'format "{FORMAT}"')
    version = value.get("version")
    if not isinstance(version, int) or version < 1:
        raise SplitError("no version number", found=repr(version), expected=VERSION)
    if version > VERSION:
        raise SplitError("newer version", found=version, expected=f"at most {VERSION}", do="Update mer-data")
    for key, kind in _FIELD_TYPES.items():
        if key not in value:
            raise SplitError(f'missing key "{key}"')
        if not isinstance(value[key], kind):
            raise SplitError(
                f'wrong type of "{key}"', found=type(value[key]).__name__, expected=kind.__name__
            )
    unknown = sorted(set(value) - set(_FIELD_TYPES) - set(_HEADER))
    if unknown:
        raise SplitError("unknown key", found=f'"{unknown[0]}"', expected=", ".join(_FIELD_TYPES))
    fields = {key: value[key] for key in _FIELD_TYPES}
    fields["splits"] = {fold: _id_list(ids, fold) for fold, ids in value["splits"].items()}
    fields["dropped"] = tuple(_drop(entry) for entry in value["dropped"])
    return SplitManifest(**fields)


def _id_list(ids: Any, fold: str) -> tuple[str, ...]:
    """The ids of one fold, if they are a list of strings."""
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise SplitError(f'wrong ids of fold "{fold}"', expected="a list of strings")
    return tuple(ids)


def _drop(entry: Any) -> DroppedUtterance:
    """One entry of ``dropped``."""
    if not isinstance(entry, dict) or set(entry) != {"id", "reason"}:
        raise SplitError('wrong entry of "dropped"', found=repr(entry), expected='an "id" and a "reason"')
    return DroppedUtterance(str(entry["id"]), str(entry["reason"]))


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not among the known ones."""
    if value not in known:
        raise SplitError(f"unknown {name}", found=repr(value), expected=", ".join(known))


def _check_distinct(splits: dict[str, tuple[str, ...]], dropped: tuple[DroppedUtterance, ...]) -> None:
    """Refuse an id that occurs twice."""
    places = [(name, fold) for fold in FOLDS for name in splits[fold]]
    places += [(drop.id, "dropped") for drop in dropped]
    twice = [name for name, count in Counter(name for name, _ in places).items() if count > 1]
    if twice:
        where = " and ".join(place for name, place in places if name == twice[0])
        raise SplitError(f"utterance {twice[0]} occurs twice", where=where, expected="one place for every id")
