"""Which file of a source folder is what: by root name first, else by content. No file is ignored in silence.

A choice by name or path always wins. Copies of one file are recognised by their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_data.errors import SourceError, did_you_mean
from mer_data.files.writing import sha256_file
from mer_data.sources.base import SourceChoices, SourceFile
from mer_data.sources.catalogue import FeatureSet, Role, SourceManifest
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.sources.label_table import is_label_table, read_header
from mer_data.sources.transcripts import are_transcripts, find_transcripts
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FRAME_MODALITIES

_PROBED_VIDEOS = 20
"""Videos whose values are read to distinguish labels from features."""


@dataclass(frozen=True)
class Candidate:
    """A computational sequence that may have a role.

    Attributes:
        sequence: the file.
        features: its feature set, as the manifest knows it or as the content shows.
        reason: how it was recognised.
        by_root: whether the manifest knows its root.
    """

    sequence: ComputationalSequence
    features: FeatureSet
    reason: str
    by_root: bool

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.sequence.path

    def describe(self) -> str:
        """Path, root, videos and rows of the first one, for a person who has to choose."""
        videos = self.sequence.videos
        rows = len(self.sequence.read(videos[0])[1]) if videos else 0
        return (
            f"{self.path} (root {self.sequence.root!r}, {len(videos)} videos, {rows} rows in the first,"
            f" {self.sequence.width} columns)"
        )


@dataclass(frozen=True)
class FolderFiles:
    """The files of a source folder.

    Attributes:
        sequences: the sequence of each role that has one: "labels", "words", "audio", "vision".
        transcripts: the CSV of transcripts, where there is one.
        listing: every file, with its role or the reason why it is not used.
    """

    sequences: dict[str, Candidate]
    transcripts: Path | None
    listing: tuple[SourceFile, ...]


def find_files(folder: Path, manifest: SourceManifest, choices: SourceChoices) -> FolderFiles:
    """Give every file of a folder its role.

    Raises:
        SourceError: a role has several candidates (they are listed), a chosen file is absent or of another
            kind, or a sequence cannot be read.
    """
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    copies = _copies([path for path in paths if path.is_file()])
    own = [path for path in paths if path not in copies]
    roles: tuple[Role, ...] = ("labels", "words", "audio", "vision")
    by_path = {role: choices.path(role, folder) for role in roles}
    found, unused = [], {path: f"a copy of {copies[path].name}" for path in copies}
    for path in own:
        if path.suffix.lower() == ".csd" and path.is_file():
            candidate = _candidate(path, manifest)
            if isinstance(candidate, str):
                unused[path] = candidate
            else:
                found.append(candidate)
    sequences: dict[str, Candidate] = {}
    for role, given in by_path.items():
        if role in choices.without:
            picked = None
        elif given is not None:
            picked = _given(role, given, manifest)
        else:
            picked = _pick(role, found, choices.name(role, folder), folder)
        if picked is not None:
            sequences[role] = picked
    transcripts = find_transcripts(own, folder, manifest, choices)
    used: dict[Path, tuple[str, str]] = {one.path: (role, one.reason) for role, one in sequences.items()}
    if transcripts is not None:
        used[transcripts] = (
            "transcripts",
            "as the manifest names it" if transcripts.name == manifest.transcripts else "by its rows",
        )
    if manifest.folds.kind == "file":
        used[folder / manifest.folds.name] = ("folds", "as the manifest names it")
    for candidate in found:
        if candidate.path not in used:
            unused[candidate.path] = _why_not(candidate, sequences, choices)
    for path in own:
        if path not in used and path not in unused:
            unused[path] = _why_no_role(path, folder, manifest, transcripts)
    taken = {path.resolve() for path in used}  # a choice may spell the path in another way
    unused = {path: reason for path, reason in unused.items() if path.resolve() not in taken}
    listing = [SourceFile(path, role, reason) for path, (role, reason) in used.items() if path.exists()]
    listing += [SourceFile(path, None, reason) for path, reason in sorted(unused.items())]
    return FolderFiles(sequences, transcripts, tuple(listing))


def _copies(paths: Sequence[Path]) -> dict[Path, Path]:
    """Files with the bytes of another one, and that one: the one with the shortest name is kept."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    copies: dict[Path, Path] = {}
    for same_size in by_size.values():
        if len(same_size) > 1:
            first: dict[str, Path] = {}
            for path in sorted(same_size, key=lambda one: (len(one.name), one.name)):
                original = first.setdefault(sha256_file(path), path)
                if original is not path:
                    copies[path] = original
    return copies


def _candidate(path: Path, manifest: SourceManifest) -> Candidate | str:
    """A sequence with its role, or the reason why it has none."""
    sequence = ComputationalSequence(path)
    known = manifest.find(sequence.root)
    if known is not None:
        return Candidate(sequence, known, f"root {sequence.root!r}", by_root=True)
    if not sequence.videos:
        return "a computational sequence without videos"
    role, why = _role_by_content(sequence, manifest)
    if role is None:
        return f"root {sequence.root!r} is not in the source manifest, and {why}"
    return Candidate(
        sequence,
        _feature_set(role, sequence, manifest),
        f"root {sequence.root!r} is unknown; {why}",
        by_root=False,
    )


def _role_by_content(sequence: ComputationalSequence, manifest: SourceManifest) -> tuple[Role | None, str]:
    """The role that the values of a sequence with an unknown root show, and what shows it."""
    features, _ = sequence.read(sequence.videos[0])
    if features.dtype.kind in "SOU":
        return "words", "its values are words"
    named = [
        known for known in manifest.features if known.role in FRAME_MODALITIES and known.names(sequence.path)
    ]
    if len(named) == 1:
        return named[0].role, f"its file is named as {named[0].name}"
    columns = next((known.columns for known in manifest.features if known.role == "labels"), None) or (0,)
    if sequence.width in (1, 7) and max(columns) < sequence.width:
        probed = [sequence.read(video)[0][:, columns[0]] for video in sequence.videos[:_PROBED_VIDEOS]]
        values = np.concatenate(probed)
        if ((values >= LABEL_RANGE[0]) & (values <= LABEL_RANGE[1])).all():
            return "labels", "its values are labels in [-3, 3]"
    return (
        None,
        f"its {sequence.width} columns of numbers may be audio or vision: choose with --audio or --vision",
    )


def _feature_set(role: Role, sequence: ComputationalSequence, manifest: SourceManifest) -> FeatureSet:
    """How a sequence with an unknown root is prepared: as the manifest's set of that name, else as it is."""
    same = [
        known
        for known in manifest.features
        if known.role == role and (role == "labels" or known.names(sequence.path))
    ]
    if same:
        return same[0]
    return FeatureSet(
        role=role, name="words" if role == "words" else sequence.path.stem, roots=(sequence.root,)
    )


def _given(role: Role, path: Path, manifest: SourceManifest) -> Candidate:
    """The sequence that was chosen by path for a role; its root need not be known."""
    if not path.is_file():
        raise SourceError(f"no {role} file", where=path, do=f"Pass --{role} with a file that exists")
    sequence = ComputationalSequence(path)
    known = manifest.find(sequence.root)
    features = known if known is not None and known.role == role else _feature_set(role, sequence, manifest)
    return Candidate(sequence, features, "chosen by path", by_root=False)


def _pick(role: str, found: Sequence[Candidate], name: str | None, folder: Path) -> Candidate | None:
    """The one candidate of a role; those with a known root come first."""
    candidates = [one for one in found if one.features.role == role]
    if name is not None:
        chosen = [one for one in candidates if one.features.name == name]
        if not chosen:
            names = sorted({one.features.name for one in candidates})
            raise SourceError(
                f"no {role} set {name!r}",
                where=folder,
                found=", ".join(names) or "none",
                do=did_you_mean(name, names) or "Choose one of those found, or a path",
            )
    else:
        chosen = [one for one in candidates if one.by_root] or candidates
    if len(chosen) > 1:
        raise SourceError(
            f"several {role} files",
            where=folder,
            found="; ".join(one.describe() for one in chosen),
            do=f"Choose one by --{role} " + ("NAME or " if role in FRAME_MODALITIES else "") + "PATH",
        )
    return chosen[0] if chosen else None


def _why_not(candidate: Candidate, sequences: dict[str, Candidate], choices: SourceChoices) -> str:
    """Why a sequence that could have had a role has none."""
    role = candidate.features.role
    if role in choices.without:
        return f"{role}, left out by --without {role}"
    return f"{role} ({candidate.reason}); {role} are read from {sequences[role].path.name}"


def _why_no_role(path: Path, folder: Path, manifest: SourceManifest, transcripts: Path | None) -> str:
    """Why a file that is no computational sequence is not used."""
    if path.is_dir():
        return "a folder; pass it as --source"
    suffix = path.suffix.lower()
    if suffix == ".csv":
        if is_label_table(path):
            return (
                "a table of labels and texts; labels come from the .csd file, or pass the table as --source"
            )
        if are_transcripts(path):
            name = transcripts.name if transcripts is not None else "no file: the corpus has no transcripts"
            return f"transcripts; they are read from {name}"
        return f"a CSV that is neither transcripts nor a table of labels ({_header(path)})"
    if suffix in (".pkl", ".pickle", ".joblib"):
        return "a corpus of its own; pass it as --source"
    return "no kind of file that a build reads"


def _header(path: Path) -> str:
    """The first columns of a CSV, for people."""
    try:
        first = read_header(path)
    except SourceError:
        return "not readable as text"
    return f"columns {', '.join(first[:4])}{' ...' if len(first) > 4 else ''}"


def check_roles(folder: Path, manifest: SourceManifest, choices: SourceChoices, found: FolderFiles) -> None:
    """Labels and texts have to be there; audio and vision both, or none, or what ``--without`` says."""
    unused = "; ".join(one.line for one in found.listing if one.role is None)
    if "labels" not in found.sequences:
        roots = [root for known in manifest.features if known.role == "labels" for root in known.roots]
        raise SourceError(
            "no labels file",
            where=folder,
            found=unused or "no file at all",
            expected=f"a .csd file with one of the roots {', '.join(roots)}",
            do=f"Pass --source with the folder of {manifest.title}'s files, or --labels PATH"
            + (f", or run `mer-data download {manifest.dataset}` first" if manifest.collections else ""),
        )
    if found.transcripts is None and "words" not in found.sequences:
        raise SourceError(
            "neither words nor transcripts", where=folder, found=unused or None, do="Add the words .csd file"
        )
    wanted = [modality for modality in FRAME_MODALITIES if modality not in choices.without]
    absent = [modality for modality in wanted if modality not in found.sequences]
    if absent and len(absent) < len(wanted):
        raise SourceError(
            f"no {absent[0]} file",
            where=folder,
            found=unused or "no other .csd file",
            expected="one of the roots "
            + ", ".join(r for known in manifest.features if known.role == absent[0] for r in known.roots),
            do=f"Add it, choose it with --{absent[0]} PATH, or pass --without {absent[0]}",
        )
