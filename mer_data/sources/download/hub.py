"""Files of a data set on the Hugging Face hub, fetched and resumed by the hub's own client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from mer_data.errors import SourceError
from mer_data.files.writing import sha256_file
from mer_data.sources.catalogue import Collection, PublishedFile
from mer_data.sources.download.connection import Report, ask
from mer_data.sources.download.faults import AttemptError, Failure, StoppedError
from mer_data.sources.download.session import new_session
from mer_data.sources.download.settings import DownloadSettings, check_space
from mer_data.sources.download.transfer import Accept

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence the hub's client about its own attempts; their outcome is reported at the end."""
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


class Hub:
    """The hub in one download.

    The hub's client has one connection pool for all threads, and closes it where a connection fails. So one
    file comes at a time; the client itself fetches a large one in parallel pieces.
    """

    def __init__(self, settings: DownloadSettings, stop: threading.Event) -> None:
        """Use the hub with this patience, until ``stop`` is set."""
        self._settings, self._stop = settings, stop
        self._turn = threading.Lock()
        self._unreached: AttemptError | None = None

    def fetch(
        self, collection: Collection, file: PublishedFile, folder: Path, accept: Accept, report: Report
    ) -> Failure | None:
        """Fetch a file of a hub repository, and hand it to ``accept`` when it is complete.

        Args:
            collection: names the repository.
            file: its ``path`` may have one ``*`` for a name that only the repository knows.
            folder: where parts lie, on the disk of the target.
            accept: checks the file and puts it in place.
            report: progress.

        Returns:
            None, or why the file could not be had.

        Raises:
            StoppedError: ``stop`` was set.
        """
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

        # The error of the HTTP library below, which is another one in other versions.
        network_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
        origin = f"hub:{collection.repository}/{file.path}"
        place = origin + (f" at {collection.page}" if collection.page else "")
        try:
            with self._turn:
                self._go_on()
                self._reach()
                found, path = self._download(collection, file, folder, report)
            accept(found, f"hub:{collection.repository}/{path}")
        except (SourceError, AttemptError) as error:
            return Failure(file.name, {place: str(error).rstrip(".")})
        except (network_error, EntryNotFoundError, HFValidationError, OSError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return Failure(file.name, {place: lines[0].rstrip(".") if lines else type(error).__name__})
        return None

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _reach(self) -> None:
        """Ask the hub once for a connection: its client asks for most of a minute before it gives up."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE:
            return  # the client says so
        if self._unreached is None:
            endpoint = self._settings.hub_endpoint or constants.ENDPOINT
            try:
                with closing(new_session(self._settings)) as session:
                    ask(session, endpoint, self._settings, follow=False)
            except AttemptError as fault:
                self._unreached = fault if fault.unreached else None
        if self._unreached is not None:
            raise self._unreached

    def _download(
        self, collection: Collection, file: PublishedFile, folder: Path, report: Report
    ) -> tuple[Path, str]:
        """The complete file, of the size and checksum that the hub states, and its path in the repository."""
        from huggingface_hub import HfApi, hf_hub_download

        def report_or_stop(done: int, total: int | None) -> None:
            self._go_on()
            report(done, total)

        settings, repository = self._settings, str(collection.repository)
        entry = _find(HfApi(endpoint=settings.hub_endpoint), repository, str(file.path))
        check_space(folder, entry.size or 0, settings)
        found = Path(
            hf_hub_download(
                repository,
                entry.path,
                repo_type="dataset",
                local_dir=folder / "hub" / file.key,
                endpoint=settings.hub_endpoint,
                etag_timeout=settings.connect_timeout_s,
                tqdm_class=_reporting(report_or_stop, entry.size),
            )
        )
        _check(found, entry)
        return found, entry.path


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
    """Return a class that the hub's client takes for a progress bar."""
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
