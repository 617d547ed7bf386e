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

from mer_data.errors import SourceError
from mer_data.hdf5_files import FileIdentity, FileKind, identity_if_trusted, open_hdf5, writing_hdf5

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
        self._file = open_hdf5(path, SEQUENCE_FILE, trusted)
        try:
            roots = list(self._file)
            data = self._file.get(f"{roots[0]}/data") if len(roots) == 1 else None
            videos = sorted(data) if isinstance(data, h5py.Group) else None
        except (OSError, RuntimeError) as error:
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
        self.root: str = roots[0]
        self._data: h5py.Group = data
        self.videos: list[str] = videos

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
            SourceError: the bytes cannot be read, or shapes do not fit together.
        """
        where = f"{self.path}, video {video_id}"
        try:
            group = self._data[video_id]
            features, intervals = group["features"][()], group["intervals"][()]
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SourceError(
                "cannot read features and intervals (truncated file?)", where=where, do="Fetch the file again"
            ) from error
        if (
            intervals.ndim != 2
            or intervals.shape[1] != 2
            or features.ndim != 2
            or len(features) != len(intervals)
        ):
            raise SourceError(
                "shapes do not fit",
                where=where,
                found=f"features {features.shape}, intervals {intervals.shape}",
                expected="(T, d) and (T, 2)",
            )
        return features, intervals.astype(np.float64)

    @cached_property
    def width(self) -> int:
        """Number of feature columns d."""
        return int(self.read(self.videos[0])[0].shape[1]) if self.videos else 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_computational_sequence(
    path: Path,
    root: str,
    videos: Mapping[str, tuple[NDArray[Any], NDArray[np.floating]]],
    *,
    dataset_name: str,
    description: str,
    dimension_names: list[str],
) -> None:
    """Write ``{video: (features, intervals)}`` in the SDK's layout; ``path`` appears when complete."""
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
