"""MMSA's clip numbers of a corpus: which segment each of them is.

On CMU-MOSEI a clip number is not the position of the segment: sorted as strings within a video, clip numbers
are in the order of the segments (three videos lack rows and were matched by label). The result is a file
next to the source manifest, so that any part of a table or pickle can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mer_data.errors import SourceError
from mer_data.files.writing import read_json
from mer_data.sources.catalogue import SourceManifest, manifest_folder

FORMAT = "mer-data/clip-ids"
Numbered = tuple[str, int]
"""A video and a number in it: of a clip, or of a segment."""


class ClipNumbers:
    """From clip numbers to segment numbers (1-based).

    Attributes:
        segments: segment of every clip.
    """

    def __init__(self, clips: dict[str, list[int | None]]) -> None:
        """Take for every video the clip numbers in the order of its segments; None where MMSA has no row."""
        self.segments: dict[Numbered, int] = {
            (video, clip): place
            for video, row in clips.items()
            for place, clip in enumerate(row, start=1)
            if clip is not None
        }
        self._num_segments = {video: len(row) for video, row in clips.items()}

    @classmethod
    def from_manifest(cls, manifest: SourceManifest) -> ClipNumbers | None:
        """The clip numbers of a corpus; None where clips are numbered as segments are.

        Raises:
            SourceError: the file that the manifest names is missing or damaged.
        """
        if manifest.clip_ids is None:
            return None
        path = manifest_folder() / manifest.clip_ids
        try:
            content = read_json(path)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}")
            return cls(content["videos"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise SourceError(
                f"cannot read the clip numbers ({error})", where=path, do="Install mer-data again"
            ) from error

    def are_clips(self, numbered: Iterable[Numbered]) -> bool:
        """Whether numbers count MMSA's clips rather than segments: what more of them can be.

        A full table of clips has numbers that no segment has (from 0, with gaps). Where both fit all of them,
        as in a few rows, they are clips: this is asked of MMSA's files.
        """
        pairs = list(numbered)
        clips = sum(pair in self.segments for pair in pairs)
        segments = sum(1 <= number <= self._num_segments.get(video, 0) for video, number in pairs)
        return clips > 0 and clips >= segments

    def to_segments(self, numbered: Sequence[Numbered], where: Path) -> list[int]:
        """The segment of every clip.

        Raises:
            SourceError: the corpus has no such clip.
        """
        unknown = [pair for pair in numbered if pair not in self.segments]
        if unknown:
            shown = ", ".join(f"{video} clip {clip}" for video, clip in unknown[:3])
            raise SourceError(
                f"{len(unknown)} of {len(numbered)} clip ids are of no segment of the corpus",
                where=where,
                found=shown + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""),
                do="Use MMSA's own table or pickle, or correct these ids",
            )
        return [self.segments[pair] for pair in numbered]
