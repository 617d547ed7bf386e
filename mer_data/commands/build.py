from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click

from mer_data.cli_options import (
    WORKERS,
    DatasetName,
    conclude,
    drop_lines,
    output_options,
    progress_bar,
    repeated,
)


@click.command()
@click.option("--dataset", type=DatasetName(), required=True, help="mosi, mosei or sample.")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="Folder of .csd files, an MMSA pickle, or MMSA's label.csv; default: the raw folder.",
)
@click.option(
    "--alignment",
    type=click.Choice(["unaligned", "aligned"]),
    default="unaligned",
    show_default=True,
    help="Unaligned: frames at the dataset's rates. Aligned: one vector per word piece.",
)
@click.option("--audio", metavar="NAME|PATH", help="Audio set, where the source has several, or its file.")
@click.option("--vision", metavar="NAME|PATH", help="Vision set, where the source has several, or its file.")
@click.option("--labels", metavar="PATH", help="Label file, where the source has several.")
@click.option("--words", metavar="PATH", help="File of timestamped words, where the source has several.")
@click.option("--transcripts", metavar="PATH", help="CSV of transcripts, where the source has several.")
@click.option(
    "--without",
    type=click.Choice(["audio", "vision"]),
    multiple=True,
    help="Build without this modality; may be given twice.",
)
@click.option(
    "--shift-words",
    type=click.IntRange(-3, 3),
    default=0,
    metavar="N",
    help="Move every word by N intervals; -1 where each word has its successor's times.",
)
@click.option("--tokenizer", metavar="NAME", help="tiny, minilm, bert-base-uncased, a folder or a hub id.")
@click.option(
    "--workers",
    type=WORKERS,
    default=1,
    show_default=True,
    help="Processes that read and align; the store is the same for any number.",
)
@click.option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler (docs/scale.md).")
@click.option("--out", type=click.Path(path_type=Path), help="Path of the store; default: in the workspace.")
@output_options
def build(
    dataset: str,
    source: Path | None,
    alignment: str,
    audio: str | None,
    vision: str | None,
    labels: str | None,
    words: str | None,
    transcripts: str | None,
    without: tuple[str, ...],
    shift_words: int,
    tokenizer: str | None,
    workers: int,
    dask: str | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build the feature store of a dataset from its source files.

    \b
    Examples:
      mer-data build --dataset sample
      mer-data build --dataset mosi --source ~/mosi --alignment aligned
      mer-data build --dataset mosi --source unaligned_50.pkl
      mer-data build --dataset mosei --source ~/mosei --workers 8
      mer-data build --dataset mosei --source label.csv
      mer-data build --dataset mosi --source ~/mosi --words ~/mosi/words.csd --shift-words -1
    """
    from mer_data.build import build_store
    from mer_data.errors import StoreError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.parallel import workers_of
    from mer_data.sources import SourceChoices, open_source
    from mer_data.workspace import Workspace

    workspace = Workspace(dataset)
    target = out or workspace.store_path(alignment)
    refuse_overwrite(target, force=force, error=StoreError)
    roles = {"labels": labels, "words": words, "transcripts": transcripts, "audio": audio, "vision": vision}
    chosen = {role: value for role, value in roles.items() if value is not None}
    opened = open_source(dataset, source or workspace.raw, SourceChoices(chosen, without, shift_words))
    with progress_bar("build") as progress, workers_of(dask):
        report = build_store(
            opened,
            target,
            alignment=cast(Literal["aligned", "unaligned"], alignment),
            tokenizer=tokenizer,
            without=without,
            progress=progress,
            workers=workers,
        )
    changed = {name: count for name, count in sorted(report.cleaning.items()) if count}
    lines = [f"{report.num_utterances} utterances in {report.path} ({report.utterance_digest})."]
    lines += [] if report.published is None else [report.published]
    lines += [] if report.modalities else ["Texts and labels alone: the source has no audio and no vision."]
    lines += [f"  {file.line}" for file in report.files]
    lines += [f"  {name.replace('_', ' ')}: {count}" for name, count in changed.items()]
    lines += drop_lines(report.dropped)
    lines += [f"Warning: {warning}" for warning in report.warnings]
    conclude(
        {
            "store": str(report.path),
            "utterances": report.num_utterances,
            "utterance_digest": report.utterance_digest,
            "modalities": list(report.modalities),
            "files": [{"path": str(f.path), "role": f.role, "reason": f.reason} for f in report.files],
            "published": report.published,
            "warnings": list(report.warnings),
            "cleaning": report.cleaning,
            "dropped": [vars(drop) for drop in report.dropped],
        },
        lines,
        f"mer-data repartition --dataset {dataset} --task binary{repeated(alignment=out)}",
        as_json=as_json,
    )
