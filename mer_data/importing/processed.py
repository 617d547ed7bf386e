"""Processed files (pickles in MMSA's layout) into stores, and the folds inside them into split manifests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from mer_data.build import Alignment, BuildReport, build_store
from mer_data.errors import SourceError, SplitError, StoreError
from mer_data.files.writing import refuse_overwrite, sha256_file
from mer_data.importing.placing import Imported, ImportOptions, place
from mer_data.progress import Progress
from mer_data.sources.catalogue import Collection, SourceManifest
from mer_data.sources.folds import standard_folds
from mer_data.sources.pickles.mmsa_pickle import MmsaPickle
from mer_data.sources.recognise import Recognised
from mer_data.splits.manifest import SplitKind, SplitManifest
from mer_data.splits.shift.divergence import MIN_COUNT, SMOOTHING
from mer_data.splits.shift.measure import ShiftMeter
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task
from mer_data.utterances import FOLDS, FRAME_MODALITIES, NO_FOLD, UtteranceBlock
from mer_data.workspace import Workspace

GENERATOR = "found_in_file"
_BATCH = 256


def import_processed(found: Recognised, options: ImportOptions, progress: Progress | None = None) -> Imported:
    """Make a store and a split manifest of a processed file.

    The store has the standard folds of the corpus, where they are known; the folds inside the file become the
    manifest. Several files of one publication that differ only in their folds share a store.

    Raises:
        SourceError: the file is damaged, or not recognised as processed.
        StoreError: a store of that name is there and has other content.
        SplitError: a split of that name is there and differs.
    """
    if found.source is None:
        raise SourceError("not a processed file", where=found.path)
    source, workspace = found.source, Workspace(found.manifest.dataset)
    reference = _reference_folds(found.manifest, workspace.raw)
    kind = options.kind or _kind(found, reference)
    collection = _collection(found, kind)
    alignment = cast(Alignment, source.alignment)
    base = options.name or (collection.name if collection else "imported")
    task = options.task or (found.published.task if found.published else None)
    store_path = workspace.store_path(f"{base}_{alignment}")
    split_path = workspace.split_path(f"{base}_{task}" if task and not options.name else base)
    refolded = _Refolded(source, reference) if reference and kind != "standard" else source
    store, report, new_store = _store(refolded, store_path, alignment, options, progress)
    generator = {"name": GENERATOR, "file": sha256_file(found.path), "published_as": base}
    manifest = _manifest(source, store, kind, task or "any", generator)
    store.close()
    new_split = _save(manifest, split_path, force=options.force)
    if found.published and found.path.resolve().parent == workspace.raw.resolve():
        place(found, options)  # a download finds it there
    what = f"{alignment} store and {kind} split"
    state: Literal["new", "present"] = "new" if new_store or new_split else "present"
    changed = {name: count for name, count in sorted(report.cleaning.items()) if count}
    return Imported(
        found.path, workspace.dataset, what, store_path, split_path, state, changed, report.dropped
    )


def _reference_folds(manifest: SourceManifest, raw: Path) -> dict[str, str]:
    """Standard fold of every video, where the folds are at hand."""
    if manifest.folds.kind == "file" and not (raw / manifest.folds.name).is_file():
        return {}
    return standard_folds(manifest.folds, raw)


def _kind(found: Recognised, reference: dict[str, str]) -> SplitKind:
    """As published; else by the widths of its features; else by whether its folds are the standard ones."""
    source = cast(MmsaPickle, found.source)
    widths = {modality: len(source.streams[modality].columns) for modality in FRAME_MODALITIES}
    for collection, file in found.manifest.published():
        same = collection.widths is not None and collection.widths.model_dump() == widths
        if collection.kind is not None and (file == found.published or same):
            return collection.kind
    known = [
        (fold, reference[video])
        for fold in FOLDS
        for video in {name.rpartition("$_$")[0] for name in source.ids(fold)}
        if video in reference
    ]
    return "standard" if all(fold == standard for fold, standard in known) else "ood"


def _collection(found: Recognised, kind: SplitKind) -> Collection | None:
    """Return the collection that the file was published with, or is like."""
    for collection, file in found.manifest.published():
        if file == found.published or (found.published is None and collection.kind == kind):
            return collection
    return None


class _Refolded(MmsaPickle):
    """A processed file whose utterances have the standard folds of their videos."""

    def __init__(self, source: MmsaPickle, reference: dict[str, str]) -> None:
        vars(self).update(vars(source))  # the file is read once
        self._source, self._reference = source, reference

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file for itself."""
        return _Refolded, (self._source, self._reference)

    def block(self, number: int) -> UtteranceBlock:
        """One block, with other folds."""
        block = self._source.block(number)
        folds = block.frame["video_id"].map(self._reference).fillna(NO_FOLD)
        return replace(block, frame=block.frame.assign(fold=folds))


def _store(
    source: MmsaPickle,
    target: Path,
    alignment: Alignment,
    options: ImportOptions,
    progress: Progress | None,
) -> tuple[FeatureStore, BuildReport, bool]:
    """The store, what its build changed, and whether it is new; one with the same content stays as it is."""

    def build(path: Path) -> BuildReport:
        return build_store(source, path, alignment=alignment, tokenizer=options.tokenizer, progress=progress)

    if not target.exists() or options.force:
        report = build(target)
        return FeatureStore.open(target), report, True
    with _beside(target) as other:
        report = build(other)
        old, new = FeatureStore.open(target), FeatureStore.open(other)
        same = same_content(old, new)
        new.close()
    if not same:
        raise StoreError(
            f"{target} exists already and has other content",
            do="Pass --name to give this one another name, or --force to replace it",
        )
    return old, report, False


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path for a store that is only compared."""
    other = target.with_name(f".{target.stem}.compared.h5")
    try:
        yield other
    finally:
        other.unlink(missing_ok=True)


def same_content(one: FeatureStore, other: FeatureStore) -> bool:
    """Whether two stores have the same utterances with the same pieces, frames and folds, in any order."""
    if one.utterance_digest != other.utterance_digest or one.alignment != other.alignment:
        return False
    if any(one.width(modality) != other.width(modality) for modality in FRAME_MODALITIES):
        return False
    order = [store.utterances.sort_values("id") for store in (one, other)]
    if order[0]["fold"].tolist() != order[1]["fold"].tolist():
        return False
    rows = [frame.index.to_numpy() for frame in order]
    for start in range(0, len(rows[0]), _BATCH):
        read = [
            store.read(row[start : start + _BATCH]) for store, row in zip((one, other), rows, strict=True)
        ]
        pairs = [(read[0].token_ids, read[1].token_ids)]
        pairs += [(read[0].streams[modality], read[1].streams[modality]) for modality in FRAME_MODALITIES]
        for mine, theirs in pairs:
            if not np.array_equal(mine.offsets, theirs.offsets) or not np.array_equal(
                mine.values, theirs.values
            ):
                return False
    return True


def _manifest(
    source: MmsaPickle,
    store: FeatureStore,
    kind: SplitKind,
    task: Literal["binary", "seven", "any"],
    generator: dict[str, str],
) -> SplitManifest:
    """The folds inside the file, with their shift measured on the store."""
    splits = {fold: tuple(source.ids(fold)) for fold in FOLDS}
    fold_of = {name: fold for fold, names in splits.items() for name in names}
    pool = store.utterances.reset_index(drop=True)
    shift = {}
    if all(splits.values()):
        measured = get_task("binary" if task == "any" else task)
        meter = ShiftMeter(pool, measured, min_count=MIN_COUNT, smoothing=SMOOTHING)
        shift = meter.measure(pool["id"].map(fold_of).to_numpy(dtype=str))
    return SplitManifest(
        dataset=store.dataset,
        task=task,
        kind=kind,
        generator=dict(generator),
        utterance_digest=store.utterance_digest,
        splits=splits,
        dropped=(),
        shift=shift,
    )


def _save(manifest: SplitManifest, path: Path, *, force: bool) -> bool:
    """Write the manifest; one with the same folds for the same utterances stays, and False is returned."""
    if path.is_file() and not force:
        old = SplitManifest.load(path)
        if (old.splits, old.utterance_digest) == (manifest.splits, manifest.utterance_digest):
            return False
    refuse_overwrite(path, force=force, error=SplitError, option="--name")
    manifest.save(path)
    return True
