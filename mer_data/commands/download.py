from __future__ import annotations

from typing import Any

import click

from mer_data.cli_options import WORKERS, DatasetName, FiniteRange, conclude, output_options


@click.command()
@click.argument("dataset", type=DatasetName())
@click.option(
    "--only",
    metavar="WORDS",
    default="",
    help="What to fetch, with commas between: roles (audio, labels, ...), files, collections (see"
    " `mer-data sources DATASET`) or all; default: what a build needs.",
)
@click.option(
    "--mirror", metavar="URL", help="Folder of an http server that has copies; nothing else is asked then."
)
@click.option("--dry-run", is_flag=True, help="Show what would be fetched from where, and fetch nothing.")
@click.option("--workers", type=WORKERS, default=4, show_default=True, help="Files at once.")
@click.option(
    "--attempts", type=click.IntRange(1, 1000), default=4, show_default=True, help="Attempts at each address."
)
@click.option(
    "--timeout",
    type=FiniteRange(0, 100_000, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds without a byte, or with next to none, after which a connection is given up.",
)
@output_options
def download(
    dataset: str,
    only: str,
    mirror: str | None,
    dry_run: bool,
    workers: int,
    attempts: int,
    timeout: float,
    force: bool,
    as_json: bool,
) -> None:
    """Fetch the published files of DATASET into its raw folder, verified.

    Run it again after any break: it goes on where it broke off. Checksums that nobody publishes are recorded
    at the first download, and a file that differs later is an error.

    \b
    Examples:
      mer-data download mosi
      mer-data download mosei --only audio,labels --dry-run
      mer-data download mosi --only cider_ood
      mer-data download mosei --mirror http://files.example.org/mosei
    """
    from mer_data.progress import transfer_bars
    from mer_data.sources.download import DownloadSettings, file_sizes, plan_download
    from mer_data.sources.download import download as fetch

    plan = plan_download(dataset, [word.strip() for word in only.split(",") if word.strip()], mirror)
    settings = DownloadSettings(
        workers=workers,
        attempts=attempts,
        connect_timeout_s=min(timeout, DownloadSettings.connect_timeout_s),
        read_timeout_s=timeout,
        slow_window_s=timeout,
    )
    sizes = file_sizes(plan, settings)
    if dry_run:
        _show(plan, sizes, as_json=as_json)
        return
    with transfer_bars(sizes) as progress:
        files = fetch(plan, settings, force=force, sizes=sizes, progress=progress)
    processed = [got for got in files if got.planned.file.role == "processed"]
    conclude(
        {
            "dataset": dataset,
            "folder": str(plan.workspace.raw),
            "files": [
                {"path": str(got.planned.target), "state": got.state, **vars(got.recorded)} for got in files
            ],
        },
        [
            f"{got.planned.target}: {got.state}, {_size(got.recorded.bytes)}, {got.recorded.sha256}"
            for got in files
        ],
        f"mer-data import {processed[0].planned.target}"
        if processed
        else f"mer-data build --dataset {dataset}",
        as_json=as_json,
    )


def _show(plan: Any, sizes: dict[str, int | None], *, as_json: bool) -> None:
    """Print what would be fetched."""
    files: list[dict[str, Any]] = [
        {
            "path": str(planned.target),
            "role": planned.file.role,
            "present": planned.present,
            "bytes": sizes[planned.file.name],
            "from": planned.origin,
        }
        for planned in plan.files
    ]
    conclude(
        {"dataset": plan.manifest.dataset, "files": files},
        [
            f"{file['path']}: {'is there' if file['present'] else file['from']} ({_size(file['bytes'])})"
            for file in files
        ],
        None,
        as_json=as_json,
    )


def _size(num_bytes: int | None) -> str:
    return "size unknown" if num_bytes is None else f"{num_bytes / 1e6:.1f} MB"
