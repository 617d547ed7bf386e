"""``verify``: all checks on whatever lies at a path, and the digests between the files there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mer_data.progress import Progress, part_of_progress
from mer_data.verify.artefacts import Artefact, Surroundings, find_artefacts, surroundings
from mer_data.verify.findings import LEVELS, Finding, Findings, Level
from mer_data.verify.split import verify_split
from mer_data.verify.statistics import verify_statistics, verify_vocabulary
from mer_data.verify.store import verify_store


@dataclass(frozen=True)
class Verification:
    """The outcome of ``verify``.

    Attributes:
        artefacts: the files that were checked.
        findings: what was found, file by file, errors first.
    """

    artefacts: tuple[Path, ...]
    findings: tuple[Finding, ...]

    def num(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def lines(self) -> list[str]:
        """The findings as a table, and one line that sums them up."""
        rows = [("level", "artefact", "check", "message")] if self.findings else []
        rows += [(f.level, str(f.artefact), f.check, f.text) for f in self.findings]
        widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])
            for row in rows
        ]
        counts = ", ".join(f"{self.num(level)} {level}{'s' * (self.num(level) != 1)}" for level in LEVELS)
        checked = f"{len(self.artefacts)} file{'s' * (len(self.artefacts) != 1)} checked"
        return [*lines, f"{checked}: {counts}."]


def verify(path: str | Path, progress: Progress | None = None, *, make_again: bool = False) -> Verification:
    """Check a store, a split manifest, a statistics file, a vocabulary, or every one of them in a folder.

    Args:
        path: a file, the folder of a dataset, or the workspace.
        progress: called with the bytes of the files done and in total.
        make_again: repeat the search of every split with its recorded parameters, compute class
            statistics again, and compare.

    Raises:
        WorkspaceError: nothing at ``path`` that we know.
    """
    path = Path(path)
    artefacts = find_artefacts(path)
    sizes = [max(1, artefact.path.stat().st_size) for artefact in artefacts]
    total, done = sum(sizes), 0
    findings: list[Finding] = []
    for _, group in groupby(zip(artefacts, sizes, strict=True), key=lambda pair: pair[0].path.parent.parent):
        pairs = list(group)
        nearby = surroundings(pairs[0][0])
        try:
            for artefact, size in pairs:
                found = _verify_one(
                    artefact, nearby, part_of_progress(progress, done, size, total), make_again
                )
                findings += sorted(found, key=lambda finding: LEVELS.index(finding.level))
                done += size
                if progress is not None:
                    progress(done, total)
            if len(pairs) > 1:
                findings += _compare_stores(nearby)
        finally:
            nearby.close()
    return Verification(tuple(artefact.path for artefact in artefacts), tuple(findings))


def _verify_one(
    artefact: Artefact, nearby: Surroundings, progress: Progress | None, make_again: bool
) -> Sequence[Finding]:
    if artefact.kind == "store":
        return verify_store(artefact.path, progress)
    if artefact.kind == "split":
        return verify_split(artefact.path, nearby.stores, make_again=make_again)
    if artefact.kind == "statistics":
        return verify_statistics(artefact.path, nearby.stores, nearby.splits, make_again=make_again)
    return verify_vocabulary(artefact.path, nearby.stores, nearby.splits)


def _compare_stores(nearby: Surroundings) -> list[Finding]:
    """Stores of one dataset have the same ids, labels and texts."""
    if len({store.utterance_digest for store in nearby.stores}) < 2:
        return []
    first, *others = nearby.stores
    findings = Findings(first.path)
    different = [str(s.path.name) for s in others if s.utterance_digest != first.utterance_digest]
    findings.warning("one-corpus", f"other ids, labels or texts than in {', '.join(different)} beside it")
    return findings.found
