"""Files of a data set on the Hugging Face hub, fetched and resumed by the hub's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from mer_data.errors import SourceError
from mer_data.files import sha256_file
from mer_data.sources.catalogue import Collection, PublishedFile
from mer_data.sources.download.connection import Report
from mer_data.sources.download.faults import Failure
from mer_data.sources.download.settings import DownloadSettings
from mer_data.sources.download.space import check_space
from mer_data.sources.download.transfer import Accept

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep the hub's client from telling of its own attempts; what comes of them is told at the end."""
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def fetch_from_hub(
    collection: Collection,
    file: PublishedFile,
    folder: Path,
    accept: Accept,
    settings: DownloadSettings,
    report: Report,
) -> Failure | None:
    """Fetch a file of a hub repository, and hand it to ``accept`` when it is complete.

    Args:
        collection: names the repository.
        file: its ``path`` may have one ``*`` for a name that only the repository knows.
        folder: where parts lie, on the disk of the target.
        accept: checks the file and puts it in place.
        settings: patience.
        report: progress.

    Returns:
        None, or why the file could not be had.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    # The error of the HTTP library below, which is another one in other versions.
    network_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
    repository, path = str(collection.repository), str(file.path)
    origin = f"hub:{repository}/{path}" + (f" at {collection.page}" if collection.page else "")
    try:
        entry = _find(HfApi(endpoint=settings.hub_endpoint), repository, path)
        check_space(folder, entry.size or 0, settings)
        found = Path(
            hf_hub_download(
                repository,
                entry.path,
                repo_type="dataset",
                local_dir=folder / "hub" / file.key,
                endpoint=settings.hub_endpoint,
                etag_timeout=settings.connect_timeout_s,
                tqdm_class=_reporting(report, entry.size),
            )
        )
        _check(found, entry)
        accept(found, f"hub:{repository}/{entry.path}")
    except SourceError as error:
        return Failure(file.name, {origin: str(error).rstrip(".")})
    except (network_error, EntryNotFoundError, HFValidationError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return Failure(file.name, {origin: lines[0].rstrip(".") if lines else type(error).__name__})
    return None


def _find(api: Any, repository: str, pattern: str) -> RepoFile:
    """The one file that a path with ``*`` means."""
    from huggingface_hub.hf_api import RepoFile

    parent = str(PurePosixPath(pattern).parent)
    entries = api.list_repo_tree(repository, None if parent == "." else parent, repo_type="dataset")
    found = [
        entry
        for entry in entries
        if isinstance(entry, RepoFile)
        and fnmatchcase(PurePosixPath(entry.path).name, PurePosixPath(pattern).name)
    ]
    if len(found) != 1:
        raise SourceError(
            f"{pattern} means {len(found)} files",
            where=repository,
            found=", ".join(entry.path for entry in found) or None,
        )
    return found[0]


def _check(path: Path, entry: RepoFile) -> None:
    """Size and, where the hub states it, checksum."""
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        path.unlink()
        raise SourceError("wrong size", where=path, found=size, expected=entry.size)
    if entry.lfs is not None:
        sha256 = sha256_file(path)
        if sha256 != f"sha256:{entry.lfs.sha256}":
            path.unlink()
            raise SourceError(
                "wrong checksum", where=path, found=sha256, expected=f"sha256:{entry.lfs.sha256}"
            )


def _reporting(report: Report, total: int | None) -> type[Any]:
    """What the hub's client takes for a progress bar."""
    from tqdm import tqdm

    class Reporting(tqdm):
        """A bar that is not drawn but reported."""

        def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
            super().__init__(disable=True)
            self.num_bytes = initial

        def update(self, n: float | None = 1) -> None:
            """Report ``n`` more bytes."""
            self.num_bytes += int(n or 0)
            report(self.num_bytes, total)

    return Reporting
