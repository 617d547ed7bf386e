"""Carrying out a plan: files side by side, each ends verified in its place or in the list of failures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from mer_data.errors import SourceError
from mer_data.files.writing import sync_folder
from mer_data.sources.content import check_file
from mer_data.sources.download.connection import Report, probe_size
from mer_data.sources.download.faults import DownloadError, Failure
from mer_data.sources.download.hub import Hub, quiet_hub
from mer_data.sources.download.plan import Plan, PlannedFile
from mer_data.sources.download.session import new_session
from mer_data.sources.download.settings import DownloadSettings, check_space
from mer_data.sources.download.transfer import Accept, Wanted, transfer
from mer_data.sources.lock_file import Recorded

Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that are there, and the bytes there will be."""

FOUND = "found in its place"


@dataclass(frozen=True)
class FetchedFile:
    """A file that is there and verified.

    Attributes:
        planned: what was asked for.
        state: "present" when it was there before, "fetched" when it came now.
        recorded: its size, checksum and origin.
    """

    planned: PlannedFile
    state: Literal["present", "fetched"]
    recorded: Recorded


def download(
    plan: Plan,
    settings: DownloadSettings | None = None,
    *,
    force: bool = False,
    sizes: Mapping[str, int | None] | None = None,
    progress: Progress | None = None,
) -> list[FetchedFile]:
    """Fetch what is missing, and verify everything.

    Every file is tried, whatever becomes of the others. Two downloads of one file at once do not meet: the
    second waits and finds it.

    Args:
        plan: see ``plan_download``.
        settings: patience.
        force: fetch files again that are there.
        sizes: what ``file_sizes`` found, where it was asked before.
        progress: called from several threads.

    Returns:
        The files in the order of the plan.

    Raises:
        DownloadError: some files could not be had, or are not the right ones; the others are in place.
        SourceError: the disk has no room, or the lock file is damaged.
    """
    settings = settings or DownloadSettings()
    run = _Run(plan, settings, force, progress or (lambda name, done, total: None))
    sizes = file_sizes(plan, settings) if sizes is None else sizes
    check_space(plan.workspace.raw, run.missing_bytes(sizes), settings)
    outcomes: dict[str, FetchedFile | Failure] = {}
    quiet = quiet_hub() if any(planned.via == "hub" for planned in plan.files) else nullcontext()
    with quiet, ThreadPoolExecutor(settings.workers, thread_name_prefix="download") as pool:
        futures = {pool.submit(run.have, planned): planned for planned in plan.files}
        try:
            for future in as_completed(futures):
                outcomes[futures[future].file.name] = future.result()
        except BaseException:  # a full disk, or the user's Ctrl-C: the other threads end too
            run.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    ordered = [outcomes[planned.file.name] for planned in plan.files]
    failures = [outcome for outcome in ordered if isinstance(outcome, Failure)]
    if failures:
        raise DownloadError(plan.manifest.dataset, len(ordered), failures, plan.workspace.raw)
    return [outcome for outcome in ordered if isinstance(outcome, FetchedFile)]


def file_sizes(plan: Plan, settings: DownloadSettings | None = None) -> dict[str, int | None]:
    """Size of every file of a plan by name: as published, as recorded, or as its server states it."""
    settings = settings or DownloadSettings()
    recorded = plan.lock.read()
    unreached: set[str] = set()

    def size(planned: PlannedFile) -> int | None:
        if planned.present:
            return planned.target.stat().st_size
        if planned.file.bytes is not None or planned.file.name in recorded:
            return planned.file.bytes or recorded[planned.file.name].bytes
        with closing(new_session(settings)) as session:
            sizes = (probe_size(session, address, settings, unreached) for address in planned.addresses)
            return next((found for found in sizes if found is not None), None)

    with ThreadPoolExecutor(settings.workers) as pool:
        return dict(zip((p.file.name for p in plan.files), pool.map(size, plan.files), strict=True))


@dataclass
class _Run:
    """One download."""

    plan: Plan
    settings: DownloadSettings
    force: bool
    progress: Progress

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.hub = Hub(self.settings, self.stop)

    def missing_bytes(self, sizes: Mapping[str, int | None]) -> int:
        """Bytes that are still to come, as far as sizes are known."""
        wanted = [p for p in self.plan.files if p.via != "manual" and (self.force or not p.present)]
        return sum(max(0, (sizes[p.file.name] or 0) - _arrived(p)) for p in wanted)

    def have(self, planned: PlannedFile) -> FetchedFile | Failure:
        """Verify a file that is there, or fetch it."""
        planned.parts_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(planned.parts_folder / f"{planned.file.name}.lock"):
            if planned.present and (not self.force or planned.via == "manual"):
                return self._verified(planned)
            accepted: list[Recorded] = []
            failure = self._fetch(planned, self._accept(planned, accepted), self._report(planned))
            return failure or FetchedFile(planned, "fetched", accepted[0])

    def _verified(self, planned: PlannedFile) -> FetchedFile | Failure:
        plan, file = self.plan, planned.file
        known = plan.lock.read().get(file.name)
        origin = known.origin if known else FOUND
        try:
            recorded = check_file(planned.target, file, plan.manifest, plan.lock, origin)
        except SourceError as error:
            return Failure(file.name, {str(planned.target): f"{error} Pass --force to fetch it again"})
        plan.lock.record(file.name, recorded)
        self.progress(file.name, recorded.bytes, recorded.bytes)
        return FetchedFile(planned, "present", recorded)

    def _accept(self, planned: PlannedFile, accepted: list[Recorded]) -> Accept:
        """Verify a complete file, give it its final name, and record it."""

        def accept(path: Path, origin: str) -> None:
            recorded = check_file(path, planned.file, self.plan.manifest, self.plan.lock, origin)
            path.replace(planned.target)
            sync_folder(planned.target.parent)
            self.plan.lock.record(planned.file.name, recorded)
            accepted.append(recorded)

        return accept

    def _report(self, planned: PlannedFile) -> Report:
        return lambda done, total: self.progress(planned.file.name, done, total)

    def _fetch(self, planned: PlannedFile, accept: Accept, report: Report) -> Failure | None:
        file, folder = planned.file, planned.parts_folder
        if planned.via == "hub":
            return self.hub.fetch(planned.collection, file, folder, accept, report)
        if planned.via == "manual":
            page = str(planned.collection.page)
            what = f"take {file.path} from there" if file.path else "find it there"
            return Failure(file.name, {page: f"cannot be fetched by a program; {what}"})
        wanted = Wanted(file.name, planned.addresses, folder, file.bytes, file.sha256)
        return transfer(wanted, accept, self.settings, report, self.stop)


def _arrived(planned: PlannedFile) -> int:
    """Bytes of a file that are there from before."""
    sizes = [path.stat().st_size for path in planned.parts_folder.glob(f"{planned.file.name}.*.part")]
    return max(sizes, default=0)
