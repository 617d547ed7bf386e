"""Computational sequence files (``.csd``): HDF5 with one root, per video ``features`` and ``intervals``.

Layout as the CMU Multimodal SDK writes it: ``/<root>/data/<video>/{features,intervals}`` and
``/<root>/metadata/<key>`` as JSON strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_data.errors import DAMAGE, SourceError
from mer_data.files.hdf5_faults import FileKind
from mer_data.files.hdf5_files import FileIdentity, identity_if_trusted, open_hdf5, writing_hdf5
from mer_data.sources.broken_downloads import refuse_broken_download
from mer_data.utterance_rules import is_video_id, run_forward
from mer_data.utterances import DroppedUtterance

MAX_WORD_BYTES = 1000
_ANOTHER = "Fetch the file again, or mend it"
SEQUENCE_FILE = FileKind("the computational sequence", SourceError, "Fetch the file again")


class ComputationalSequence:
    """A ``.csd`` file, opened lazily; one video is read at a time."""

    def __init__(self, path: Path, trusted: FileIdentity | None = None) -> None:
        """Open ``path`` and check its layout.

        Args:
            path: the file.
            trusted: from another process that has opened the file.

        Raises:
            SourceError: not HDF5, truncated, damaged, locked, not permitted, or of another layout.
        """
        self.path = path
        refuse_broken_download(path)
        self._file = open_hdf5(path, SEQUENCE_FILE, trusted)
        try:
            roots = list(self._file)
            data = self._file.get(f"{roots[0]}/data") if len(roots) == 1 else None
            videos = list(data) if isinstance(data, h5py.Group) else None
        except DAMAGE as error:
            raise SourceError(
                f"cannot read the layout ({error})", where=path, do=SEQUENCE_FILE.again
            ) from error
        if data is None or videos is None:
            self.close()
            raise SourceError(
                "unexpected layout",
                where=path,
                found=f"top groups {roots}",
                expected="one root with 'data' and 'metadata'",
            )
        for name in (*roots, *videos):
            if not isinstance(name, str) or not is_video_id(name):  # h5py gives bytes where it is not UTF-8
                self.close()
                raise SourceError(
                    "a root or video whose name cannot be used",
                    where=path,
                    found=repr(name),
                    expected="UTF-8 without control characters",
                    do="Rename it, or fetch the file again",
                )
        self.root: str = roots[0]
        self._data: h5py.Group = data
        self.videos: list[str] = sorted(videos)

    def __reduce__(self) -> tuple[type[ComputationalSequence], tuple[Path, FileIdentity | None]]:
        """Another process opens the file for itself, and need not examine it again."""
        return ComputationalSequence, (self.path, identity_if_trusted(self.path))

    def __contains__(self, video_id: str) -> bool:
        """Whether the file has this video."""
        return video_id in self._data

    def dimension_names(self) -> list[str] | None:
        """Names of the feature columns, where the metadata has them."""
        try:
            metadata = self._file[self.root].get("metadata")
            if metadata is None or "dimension names" not in metadata:
                return None
            names = json.loads(np.atleast_1d(metadata["dimension names"][()])[0])
        except (ValueError, OSError, RuntimeError, LookupError, TypeError):
            return None
        return [str(name) for name in names] if isinstance(names, list) else None

    def read(self, video_id: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Features (T, d) as stored and intervals (T, 2) in seconds of one video.

        Raises:
            SourceError: the bytes cannot be read, shapes do not fit together, or intervals are no numbers.
        """
        where = f"{self.path}, video {video_id}"
        try:
            group = self._data[video_id]
            shapes = {name: group[name].shape for name in ("features", "intervals")}
            self._check_shapes(shapes["features"], shapes["intervals"], where)
            kind = group["intervals"].dtype
            if kind.kind not in "iuf":
                raise SourceError(
                    "intervals are not numbers", where=where, found=kind, expected="seconds", do=_ANOTHER
                )
            features, intervals = group["features"][()], group["intervals"][()]
        except DAMAGE as error:
            raise SourceError(
                f"cannot read features and intervals ({error})", where=where, do=SEQUENCE_FILE.again
            ) from error
        return features, intervals.astype(np.float64)

    @staticmethod
    def _check_shapes(
        features: tuple[int, ...] | None, intervals: tuple[int, ...] | None, where: str
    ) -> None:
        """Raise unless features are (T, d) with columns, and intervals (T, 2)."""
        if (
            features is None
            or intervals is None
            or len(features) != 2
            or len(intervals) != 2
            or intervals[1] != 2
            or features[0] != intervals[0]
            or (features[1] == 0 and features[0] > 0)
        ):
            raise SourceError(
                "shapes do not fit",
                where=where,
                found=f"features {features or 'without data'}, intervals {intervals or 'without data'}",
                expected="(T, d) with at least one column, and (T, 2)",
                do=_ANOTHER,
            )

    def read_words(self, video_id: str) -> tuple[list[str], NDArray[np.float64], list[DroppedUtterance]]:
        """Words (T) and intervals (T, 2) in seconds of one video, and what could not be kept.

        A word whose interval is not finite or ends before it starts is left out. Bytes that are not UTF-8
        become U+FFFD. Both are listed.

        Raises:
            SourceError: as ``read``; features are no texts of one column, or a word is longer than
                ``MAX_WORD_BYTES``, as no word is: the text of a whole video would take minutes.
        """
        features, intervals = self.read(video_id)
        where = f"{self.path}, video {video_id}"
        if features.shape[1:] != (1,) or features.dtype.kind not in "SOU":
            raise SourceError(
                "words are not texts in one column",
                where=where,
                found=f"{features.shape[1]} columns of {features.dtype}",
                do=_ANOTHER,
            )
        tokens, lost = [], []
        forward = run_forward(intervals)
        for number, value in enumerate(features[:, 0].tolist()):
            name = f"{video_id} word {number + 1}"
            raw = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
            if len(raw) > MAX_WORD_BYTES:
                raise SourceError(
                    f"word {number + 1} is too long",
                    where=where,
                    found=f"{len(raw):,} bytes that begin with {raw[:20]!r}",
                    expected=f"at most {MAX_WORD_BYTES:,}",
                    do=_ANOTHER,
                )
            token = raw.decode("utf-8", errors="replace")
            if not forward[number]:
                start, end = intervals[number]
                lost.append(
                    DroppedUtterance(name, f"interval [{start:g}, {end:g}] of {token!r} does not run forward")
                )
                continue
            if token.encode() != raw:
                lost.append(DroppedUtterance(name, f"bytes of {raw!r} that are not UTF-8 became U+FFFD"))
            tokens.append(token)
        return tokens, intervals[forward], lost

    @cached_property
    def width(self) -> int:
        """Number of feature columns d."""
        return int(self.read(self.videos[0])[0].shape[1]) if self.videos else 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_computational_sequence(
    path: str | Path,
    root: str,
    videos: Mapping[str, tuple[NDArray[Any], NDArray[np.floating]]],
    *,
    dataset_name: str,
    description: str,
    dimension_names: list[str],
) -> None:
    """Write ``{video: (features, intervals)}`` in the SDK's layout; ``path`` appears when complete."""
    path = Path(path)
    metadata = {
        "root name": root,
        "computational sequence description": description,
        "computational sequence version": "1.0",
        "alignment compatible": True,
        "dataset name": dataset_name,
        "dataset version": "1.0",
        "creator": "mer-data",
        "contact": "",
        "featureset bib citation": "",
        "dataset bib citation": "",
        "dimension names": dimension_names,
    }
    with writing_hdf5(path) as (file, careful):
        for video_id, (features, intervals) in videos.items():
            group = file.create_group(f"{root}/data/{video_id}")
            group.create_dataset("features", data=features, track_times=False)
            group.create_dataset("intervals", data=intervals.astype(np.float32), track_times=False)
            careful.check()
        for key, value in metadata.items():
            file.create_dataset(
                f"{root}/metadata/{key}",
                data=np.array([json.dumps(value)], dtype=h5py.string_dtype()),
                track_times=False,
            )
