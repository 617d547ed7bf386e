from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from mer_data.cli_options import conclude, output_options, progress_bar, split_option, store_options

if TYPE_CHECKING:
    from mer_data.export.facts import Facts
    from mer_data.splits import SplitManifest
    from mer_data.store.reader import FeatureStore

_SUFFIXES = {
    "mmsa": ".pkl",
    "parquet": ".parquet",
    "croissant": ".croissant.json",
    "datasets": ".datasets",
    "card": ".card.md",
}


@click.command()
@click.option(
    "--format",
    "layout",
    type=click.Choice(list(_SUFFIXES)),
    required=True,
    help="mmsa: a pickle for MMSA and its kin. parquet: one row per utterance, and a file of words."
    " croissant: a JSON-LD card with the Parquet files that it describes. datasets: a folder for Hugging Face"
    " datasets. card: the dataset card alone, which the others write too.",
)
@store_options
@split_option
@click.option(
    "--text-encoder",
    metavar="NAME",
    help="mmsa: add dense text features of tiny, minilm, a folder or a hub id.",
)
@click.option(
    "--pad-to",
    type=click.Choice(["longest", "limits"]),
    default="longest",
    show_default=True,
    help="mmsa: frames are padded to the longest row, or to the dataset's limits.",
)
@click.option(
    "--at-least-one-frame",
    is_flag=True,
    help="mmsa: give rows without frames one of zeros; recurrent models need it.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Path of the file or folder; default: in the workspace."
)
@output_options
def export(
    layout: str,
    dataset: str | None,
    alignment: str | None,
    split_name: str | None,
    text_encoder: str | None,
    pad_to: str,
    at_least_one_frame: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a store and a split in the format of others, with a card that states terms and counts.

    \b
    Examples:
      mer-data export --format mmsa
      mer-data export --format mmsa --dataset mosi --split ood_binary_seed0 --text-encoder minilm
      mer-data export --format parquet --out mosi.parquet
      mer-data export --format croissant --dataset mosi --split standard
      mer-data export --format datasets --out mosi
    """
    from mer_data.errors import ExportError
    from mer_data.export.facts import collect_facts
    from mer_data.files.writing import refuse_overwrite
    from mer_data.splits import SplitManifest
    from mer_data.store.choose import choose_store
    from mer_data.workspace import Workspace, only_dataset

    if layout != "mmsa" and (text_encoder or pad_to != "longest" or at_least_one_frame):
        raise ExportError("--text-encoder, --pad-to and --at-least-one-frame belong to --format mmsa")
    workspace = Workspace(only_dataset(dataset))
    store = choose_store(workspace, alignment)
    split_path = workspace.choose_split(split_name)
    split = SplitManifest.load(split_path)
    target = out or workspace.export_path(store.path, split_path, _SUFFIXES[layout])
    refuse_overwrite(target, force=force, error=ExportError)
    job = _Job(store, split, collect_facts(store, split, split_path.stem), target, force)
    if layout == "mmsa":
        pad = cast(Literal["longest", "limits"], pad_to)
        result, lines = _with_card(job, lambda: _mmsa(job, text_encoder, pad, at_least_one_frame))
    elif layout == "parquet":
        result, lines = _with_card(job, lambda: _parquet(job))
    elif layout == "croissant":
        result, lines = _with_card(job, lambda: _croissant(job))
    else:
        result, lines = _datasets(job) if layout == "datasets" else _card(job)
    sizes = " / ".join(map(str, result["sizes"].values()))
    corpus = job.facts.corpus
    beside = [] if layout == "card" else [f"Card: {result['card']}."]
    conclude(
        {**result, "path": str(target), "split": split.digest, "terms": corpus.licence},
        [f"{sizes} (train / valid / test) in {target}.", *lines, *beside, corpus.terms],
        None,
        as_json=as_json,
    )


@dataclass(frozen=True)
class _Job:
    """The inputs and the target of an export."""

    store: FeatureStore
    split: SplitManifest
    facts: Facts
    target: Path
    force: bool


_Done = tuple[dict[str, Any], list[str]]
"""The result as JSON values, and lines for a person."""


def _with_card(job: _Job, write: Callable[[], _Done]) -> _Done:
    """Export, and write the card next to it. An identical existing card is not an error."""
    from mer_data.errors import ExportError
    from mer_data.export.card import card, card_path
    from mer_data.files.writing import refuse_overwrite, write_text

    path, text = card_path(job.target), card(job.facts)
    if not (path.is_file() and path.read_bytes() == text.encode()):
        refuse_overwrite(path, force=job.force, error=ExportError)
    result, lines = write()
    write_text(path, text)
    return {**result, "card": str(path)}, lines


def _mmsa(
    job: _Job, text_encoder: str | None, pad_to: Literal["longest", "limits"], at_least_one_frame: bool
) -> _Done:
    from mer_data.export.mmsa import export_mmsa

    with progress_bar("export") as progress:
        written = export_mmsa(
            job.store,
            job.split,
            job.target,
            text_encoder=text_encoder,
            pad_to=pad_to,
            at_least_one_frame=at_least_one_frame,
            progress=progress,
        )
    lines = [f"  {key}: {' x '.join(map(str, shape))}" for key, shape in written.shapes.items()]
    lines += [f"  {name} rows cut at the limit: {num}" for name, num in written.num_cut.items() if num]
    lines += [
        f"  {name} rows without frames: {num}"
        + ("" if at_least_one_frame else " (recurrent models may need --at-least-one-frame)")
        for name, num in written.num_empty.items()
        if num and job.store.alignment == "unaligned"
    ]
    return dict(vars(written)), lines


def _parquet(job: _Job) -> _Done:
    from mer_data.errors import ExportError
    from mer_data.export.parquet import export_parquet, words_path
    from mer_data.files.writing import refuse_overwrite

    refuse_overwrite(words_path(job.target), force=job.force, error=ExportError)
    with progress_bar("export") as progress:
        tables = export_parquet(job.store, job.split, job.target, progress=progress)
    words = str(tables.words_path)
    return {**vars(tables), "words_path": words}, [f"  {tables.num_words} words in {words}"]


def _croissant(job: _Job) -> _Done:
    """The Parquet files that are there already are described, if they are of the same store and split."""
    from mer_data.errors import ExportError
    from mer_data.export.croissant import parquet_path, write_croissant
    from mer_data.export.parquet import export_parquet, words_path, written_export
    from mer_data.files.writing import refuse_overwrite

    path = parquet_path(job.target)
    tables = None if job.force else written_export(job.store, job.split, path)
    if tables is None:
        for file in (path, words_path(path)):
            refuse_overwrite(file, force=job.force, error=ExportError)
        with progress_bar("export") as progress:
            tables = export_parquet(job.store, job.split, path, progress=progress)
    write_croissant(job.facts, job.store, tables, job.target)
    files = [str(tables.path), str(tables.words_path)]
    return (
        {"sizes": tables.sizes, "num_words": tables.num_words, "files": files},
        [f"  describes {' and '.join(files)}"],
    )


def _datasets(job: _Job) -> _Done:
    from mer_data.export.hf_datasets import CARD_NAME, export_datasets

    with progress_bar("export") as progress:
        written = export_datasets(job.store, job.split, job.target, job.facts, progress=progress)
    lines = [f"  {written.num_words} words; read it with datasets.load_from_disk({str(job.target)!r})"]
    return {**vars(written), "card": str(job.target / CARD_NAME)}, lines


def _card(job: _Job) -> _Done:
    from mer_data.export.card import write_card

    write_card(job.facts, job.target)
    sizes = {fold.name: fold.num_utterances for fold in job.facts.folds}
    return {"sizes": sizes, "card": str(job.target)}, []
