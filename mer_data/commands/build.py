from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import click

from mer_data.commands.shared import DatasetName, conclude, force_option, json_option, progress_bar, repeated


@click.command()
@click.option("--dataset", type=DatasetName(), required=True, help="mosi, mosei or sample.")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="Folder of .csd files, or an MMSA pickle; default: the raw folder.",
)
@click.option(
    "--alignment",
    type=click.Choice(["unaligned", "aligned"]),
    default="unaligned",
    show_default=True,
    help="Unaligned: frames at the dataset's rates. Aligned: one vector per word piece.",
)
@click.option("--audio", metavar="NAME", help="Audio set, where the source has several.")
@click.option("--vision", metavar="NAME", help="Vision set, where the source has several.")
@click.option("--tokenizer", metavar="NAME", help="tiny, minilm, bert-base-uncased, a folder or a hub id.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that read and align; the store is the same for any number.",
)
@click.option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler (docs/scale.md).")
@click.option("--out", type=click.Path(path_type=Path), help="Path of the store; default: in the workspace.")
@force_option
@json_option
def build(
    dataset: str,
    source: Path | None,
    alignment: str,
    audio: str | None,
    vision: str | None,
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
    """
    from mer_data.build import build_store
    from mer_data.errors import StoreError
    from mer_data.files import refuse_overwrite
    from mer_data.sources import open_source
    from mer_data.workspace import Workspace

    workspace = Workspace(dataset)
    target = out or workspace.store_path(alignment)
    refuse_overwrite(target, force=force, error=StoreError)
    opened = open_source(dataset, source or workspace.raw, audio=audio, vision=vision)
    with progress_bar("build") as progress, _backend(dask):
        report = build_store(
            opened,
            target,
            alignment=cast(Literal["aligned", "unaligned"], alignment),
            tokenizer=tokenizer,
            progress=progress,
            workers=workers,
        )
    changed = {name: count for name, count in sorted(report.cleaning.items()) if count}
    lines = [f"{report.num_utterances} utterances in {report.path} ({report.utterance_digest})."]
    lines += [f"  {name.replace('_', ' ')}: {count}" for name, count in changed.items()]
    lines += [f"  dropped {drop.id}: {drop.reason}" for drop in report.dropped]
    conclude(
        {
            "store": str(report.path),
            "utterances": report.num_utterances,
            "utterance_digest": report.utterance_digest,
            "cleaning": report.cleaning,
            "dropped": [vars(drop) for drop in report.dropped],
        },
        lines,
        f"mer-data repartition --dataset {dataset} --task binary{repeated(alignment=out)}",
        as_json=as_json,
    )


@contextmanager
def _backend(dask: str | None) -> Iterator[None]:
    """Joblib's own processes, or those of the Dask scheduler at an address."""
    if dask is None:
        yield
        return
    from joblib import parallel_config

    from mer_data.errors import MerDataError

    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise MerDataError(
            "--dask needs the package distributed", do="Install it: pip install dask distributed"
        ) from error
    try:
        client = Client(dask, timeout="10s")
    except (OSError, ValueError) as error:
        raise MerDataError(
            "no Dask scheduler answers", where=dask, do="Start one with `dask scheduler` (docs/scale.md)"
        ) from error
    try:
        with client, parallel_config("dask"):
            yield
    except KilledWorker as error:
        raise MerDataError(
            "Dask workers died, perhaps for lack of memory", do="Start fewer on each machine"
        ) from error
