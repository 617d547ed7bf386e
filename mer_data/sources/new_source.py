"""A source manifest for a corpus of the user's own: written with comments, filled in from a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_data.errors import SourceError
from mer_data.files.writing import refuse_overwrite, write_text
from mer_data.sources.catalogue import Role, packaged_datasets, read_source_manifest
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.workspace import Workspace

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HINTS: dict[Role, str] = {
    "labels": "label|sentiment|opinion|annotation|valence",
    "audio": "audio|acoustic|covarep|smile|mfcc|pitch|wav|tone|voice|librosa",
    "vision": "vision|visual|video|face|facet|openface|cnn|gaze|landmark",
}

_TEMPLATE = """\
# {title}: which feature sets exist, how they are recognised, and how they are prepared.
# The builder reads the .csd files in {raw} by this description; see docs/new-corpus.md.
# Check it with `mer-data build --dataset {name}`: a mistake is told with its key.
schema_version: 1
dataset: {name}
title: {title}
licence: Say here under which terms the corpus may be used.
citation: |
  @misc{{{name}, title={{{title}}}}}

# Train, valid and test: a JSON file in the raw folder with the video ids of each,
# {{"train": [...], "valid": [...], "test": [...]}}.
folds: {{kind: file, name: folds.json}}

# Longest rows that a model is served: word pieces, audio frames, vision frames. A store keeps everything.
limits: {{text: 50, audio: 500, vision: 500}}

# Word pieces: bert-base-uncased, another model of the hub (bert-base-chinese), a local folder with a
# tokenizer.json, or tiny (trained on the corpus, for a trial).
tokenizer: bert-base-uncased

# Words in the words file that stand for silence.
silence_tokens: [sp]

# A CSV in the raw folder with the lines "video_segment","text" (segments count from 1), where there is one;
# else the text of an utterance is its own words.
transcripts: transcripts.csv

# One entry for each file. A file is found by its root, not by its name. `roots` are spellings of the one top
# group of the HDF5 file; case and punctuation do not count. There is one labels file, one words file (or
# transcripts), and at least one of audio and of vision; `--audio NAME` and `--vision NAME` choose.
#   columns: the feature columns to keep, from 0; without it all. The first column of labels is the label.
#   frame_rate_hz: rate to which an unaligned store averages the frames; without it they are kept as they are.
#   level: utterance, where the file has one row per segment, with the segment's own interval.
#   scale, shift: labels become value * scale + shift, which has to lie in [-3, 3]
#     (from 1 to 7: scale 1, shift -4; from -1 to 1: scale 3, shift 0).
features:
{features}"""

_EXAMPLES = """\
  - {role: labels, name: sentiment, roots: [ROOT OF THE LABELS], columns: [0]}
  - {role: words, name: words, roots: [ROOT OF THE WORDS]}
  - {role: audio, name: audio, roots: [ROOT OF THE AUDIO FEATURES]}
  - {role: vision, name: vision, roots: [ROOT OF THE VISION FEATURES]}
"""


@dataclass(frozen=True)
class FoundSet:
    """A feature set in a folder.

    Attributes:
        file: name of the file.
        root: name of its top group.
        role: what it seems to be for; None where nothing shows it.
        about: size and rate, for a person.
    """

    file: str
    root: str
    role: Role | None
    about: str


def write_new_source(
    name: str, folder: Path | None = None, *, force: bool = False
) -> tuple[Path, list[FoundSet]]:
    """Write a commented source manifest into the workspace.

    Args:
        name: of the new dataset.
        folder: folder of ``.csd`` files to fill the features in from; None leaves placeholders.
        force: replace one that is there.

    Returns:
        Its path, and what was found in the folder.

    Raises:
        SourceError: an impossible or taken name, a manifest is there already, or no ``.csd`` in the folder.
    """
    if not _NAME.fullmatch(name):
        raise SourceError(
            "not a name for a dataset", found=repr(name), expected="small letters, digits, - and _"
        )
    if name in packaged_datasets():
        raise SourceError(f"{name} is described already", do=f"See `mer-data sources {name}`")
    workspace = Workspace(name)
    path = workspace.source_manifest
    refuse_overwrite(path, force=force, error=SourceError, option=None)
    found = [] if folder is None else find_sets(folder)
    text = _TEMPLATE.format(
        name=name, title=name, raw=workspace.raw, features="".join(_entries(found)) or _EXAMPLES
    )
    write_text(path, text)
    read_source_manifest(path)
    return path, found


def find_sets(folder: Path) -> list[FoundSet]:
    """The feature sets in a folder, with a guess what each is for.

    Raises:
        SourceError: no ``.csd`` file, or a damaged one.
    """
    paths = sorted(folder.glob("*.csd"))
    if not paths:
        raise SourceError("no .csd files", where=folder, do="Pass the folder of the corpus's .csd files")
    return [_look_at(path) for path in paths]


def _look_at(path: Path) -> FoundSet:
    sequence = ComputationalSequence(path)
    try:
        if not sequence.videos:
            raise SourceError("a computational sequence without videos", where=path)
        features, times = sequence.read(sequence.videos[0])
    finally:
        sequence.close()
    about = f"{len(sequence.videos)} videos, {features.shape[1]} columns"
    if features.dtype.kind not in "iuf":
        return FoundSet(path.name, sequence.root, "words", about)
    lengths = times[:, 1] - times[:, 0]
    if len(lengths) and (typical := float(np.median(lengths))) > 0:
        about += f", rows of {typical:.3g} s ({1 / typical:.3g} Hz)"
    return FoundSet(path.name, sequence.root, _guess(f"{sequence.root} {path.stem}"), about)


def _guess(words: str) -> Role | None:
    """Role of a file with these words in its name; None where they fit no role, or several."""
    roles = [role for role, hints in _HINTS.items() if re.search(hints, words, re.IGNORECASE)]
    return roles[0] if roles[:1] == ["labels"] or len(roles) == 1 else None


def _entries(found: Iterable[FoundSet]) -> list[str]:
    """An entry for each file; a second file of labels or words, and one of unknown role, as a comment."""
    entries, taken = [], set()
    names: set[str] = set()
    for known in found:
        unsure = known.role is None or (known.role in taken and known.role in ("labels", "words"))
        role = known.role or "ROLE"
        taken.add(role)
        name = _unique(re.sub(r"[^a-z0-9]+", "_", known.root.lower()).strip("_") or "features", names)
        mark = "# " if unsure else ""
        lines = [
            f"# {known.file}: {known.about}",
            f"{mark}- role: {role}",
            f"{mark}  name: {name}",
            f"{mark}  roots: [{json.dumps(known.root, ensure_ascii=False)}]",
        ]
        if role == "labels":
            lines.append(f"{mark}  columns: [0]")
        entries += [f"  {line}\n" for line in lines]
    return entries if any(not line.startswith("  #") for line in entries) else []


def _unique(name: str, taken: set[str]) -> str:
    """``name``, with a number where it is taken."""
    number, result = 1, name
    while result in taken:
        number += 1
        result = f"{name}_{number}"
    taken.add(result)
    return result
