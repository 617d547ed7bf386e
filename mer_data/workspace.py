"""The workspace ``MER_DATA_HOME`` (default ``./data``): ``<dataset>/{raw,store,splits,statistics}``.

Finding follows one rule: what is named is taken, the only one there is taken, and among several the
user chooses from a list.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mer_data.errors import WorkspaceError, did_you_mean


def home() -> Path:
    """Root of the workspace."""
    return Path(os.environ.get("MER_DATA_HOME", "data")).expanduser()


@dataclass(frozen=True)
class Workspace:
    """The files of one dataset."""

    SOURCE_MANIFEST: ClassVar[str] = "source.yaml"

    dataset: str

    @property
    def root(self) -> Path:
        """``<home>/<dataset>``."""
        return home() / self.dataset

    @property
    def raw(self) -> Path:
        """Source files."""
        return self.root / "raw"

    @property
    def source_manifest(self) -> Path:
        """Source manifest of a corpus of the user's own."""
        return self.root / self.SOURCE_MANIFEST

    @property
    def source_lock(self) -> Path:
        """Checksums of the source files as they were first met."""
        return self.root / "sources.lock.json"

    def store_path(self, alignment: str) -> Path:
        """Default path of a store."""
        return self.root / "store" / f"{alignment}.h5"

    def split_path(self, name: str) -> Path:
        """Default path of a split manifest."""
        return self.root / "splits" / f"{name}.json"

    def statistics_path(self, store: str | Path, split: str | Path, task: str, encoder: str) -> Path:
        """Default path of the class statistics of a store, split, task and text encoder."""
        store, split = Path(store), Path(split)
        plain = "".join(char if char.isalnum() or char in "-." else "_" for char in Path(encoder).name)
        return self.root / "statistics" / f"{store.stem}.{split.stem}.{task}.{plain}.h5"

    def vocabulary_path(self, store: str | Path, split: str | Path, task: str) -> Path:
        """Default path of a counterfactual vocabulary (CSV; the JSON is next to it).

        Word pieces do not depend on the alignment, so stores of one tokenizer give equal files.
        """
        store, split = Path(store), Path(split)
        return self.root / "statistics" / f"{store.stem}.{split.stem}.{task}.vocabulary.csv"

    def bias_model_path(self, store: str | Path, split: str | Path, task: str) -> Path:
        """Return the default path of a bias model."""
        store, split = Path(store), Path(split)
        return self.root / "statistics" / f"{store.stem}.{split.stem}.{task}.bias.json"

    def export_path(self, store: str | Path, split: str | Path, suffix: str) -> Path:
        """Default path of an export of a store and a split."""
        store, split = Path(store), Path(split)
        return self.root / "exports" / f"{store.stem}.{split.stem}{suffix}"

    @property
    def report_path(self) -> Path:
        """Default path of the page on the corpus and its splits."""
        return self.root / "reports" / "corpus.html"

    def choose_store(self, alignment: str | None, *, option: str = "--alignment NAME") -> Path:
        """The store named by ``alignment`` (or a path), else the only one; ``option`` is for messages."""
        return self._choose("store", ".h5", alignment, option, self.store_command(alignment))

    def store_paths(self) -> list[Path]:
        """All stores, sorted."""
        return sorted((self.root / "store").glob("*.h5"))

    def choose_split(self, name: str | None, *, option: str = "--split NAME") -> Path:
        """The split manifest called ``name`` (or at that path), else the only one."""
        return self._choose("split", ".json", name, option, self.split_command(name))

    def store_command(self, alignment: str | None) -> str:
        """The command that makes the store called ``alignment``."""
        made = "aligned" if alignment == "aligned" else "unaligned"
        return f"mer-data build --dataset {self.dataset} --alignment {made}"

    def split_command(self, name: str | None) -> str:
        """The command that makes the split called ``name``, as far as the name shows it."""
        if name == "standard":
            return f"mer-data standard-split --dataset {self.dataset}"
        searched = re.fullmatch(r"ood_(binary|seven)_seed(\d+)", name or "")
        task, seed = searched.groups() if searched else ("binary", None)
        more = "" if seed is None else f" --seed {seed}"
        return f"mer-data repartition --dataset {self.dataset} --task {task}{more}"

    def _choose(self, kind: str, suffix: str, name: str | None, option: str, command: str) -> Path:
        folder = self.root / {"store": "store", "split": "splits"}[kind]
        if name is not None:
            path = Path(name) if name.endswith(suffix) else folder / f"{name}{suffix}"
            if not path.is_file():
                known = sorted(found.stem for found in folder.glob(f"*{suffix}"))
                raise WorkspaceError(
                    f"no {kind} {name!r}",
                    where=folder,
                    found=", ".join(known) or "none",
                    do=_or_make(did_you_mean(name.removesuffix(suffix), known), command),
                )
            return path
        paths = sorted(folder.glob(f"*{suffix}"))
        if not paths:
            others = [found.parent.name for found in home().glob("*/store")]
            meant = did_you_mean(self.dataset, others) if self.dataset not in others else None
            raise WorkspaceError(f"no {kind} of {self.dataset}", where=folder, do=_or_make(meant, command))
        if len(paths) > 1:
            raise WorkspaceError(
                f"several {kind}s of {self.dataset}",
                where=folder,
                found=", ".join(path.stem for path in paths),
                do=f"Choose one with {option}",
            )
        return paths[0]


def _or_make(meant: str | None, command: str) -> str:
    """Advice about a missing file: take the one that was meant, or make it."""
    return " ".join(filter(None, (meant, f"Make it with `{command}`")))


def only_dataset(name: str | None) -> str:
    """``name``, else the only dataset in the workspace that has a store."""
    if name is not None:
        return name
    found = sorted({path.parent.parent.name for path in home().glob("*/store/*.h5")})
    if len(found) == 1:
        return found[0]
    if not found:
        raise WorkspaceError(
            "no store in the workspace", where=home(), do="Make one with `mer-data build --dataset mosi`"
        )
    raise WorkspaceError(
        "several datasets in the workspace",
        where=home(),
        found=", ".join(found),
        do="Choose one with --dataset NAME",
    )
