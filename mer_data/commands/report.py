from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.cli_options import Numbers, conclude, output_options, progress_bar, repeated, store_options

if TYPE_CHECKING:
    from mer_data.reports.encoder_probe import EncoderProbe
    from mer_data.reports.sections.severity import SeverityCurve
    from mer_data.store.reader import FeatureStore
    from mer_data.tasks import Task


@click.command()
@store_options
@click.option(
    "--split",
    "split_names",
    multiple=True,
    metavar="NAME",
    help="Split, by name or path; can be repeated. Default: all in the workspace, or the standard folds.",
)
@click.option(
    "--severities",
    type=Numbers(float),
    metavar="LIST",
    help="Severities of the curve, 0 to 1. Default: 0,0.25,0.5,0.75,1 and the task's default.",
)
@click.option(
    "--seeds",
    type=Numbers(int),
    default="0,1,2",
    show_default=True,
    metavar="LIST",
    help="Seeds of the curve, one search each.",
)
@click.option(
    "--task",
    type=click.Choice(["binary", "seven"]),
    help="Task of the curve. Default: those of the splits, or binary where they have none.",
)
@click.option(
    "--text-encoder",
    metavar="NAME",
    help="Add a text probe on sentence embeddings: minilm, tiny, a folder or a hub id.",
)
@click.option("--no-curve", is_flag=True, help="Leave the severity curve out; it takes a search a seed.")
@click.option("--out", type=click.Path(path_type=Path), help="Path of the page; default: in the workspace.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every figure into this folder too, as PDF and PNG.",
)
@output_options
def report(
    dataset: str | None,
    alignment: str | None,
    split_names: tuple[str, ...],
    severities: tuple[float, ...] | None,
    seeds: tuple[int, ...],
    task: str | None,
    text_encoder: str | None,
    no_curve: bool,
    out: Path | None,
    figures: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write one HTML page on a corpus: its labels, its splits side by side, words that moved, severity.

    The page needs no network and no other file. Severity 1 is the strongest shift that a search finds, which
    is adversarial: in test, words mean the opposite.

    \b
    Examples:
      mer-data report
      mer-data report --dataset mosi --text-encoder minilm --figures figures
      mer-data report --dataset mosi --split standard --split ood_binary_seed0 --no-curve
    """
    from mer_data.errors import WorkspaceError
    from mer_data.files.writing import refuse_overwrite, write_text
    from mer_data.reports.corpus import corpus_report, tasks_of
    from mer_data.reports.inputs import check_curve, choose_splits, refuse_filled
    from mer_data.store.choose import choose_store
    from mer_data.tasks import get_task
    from mer_data.workspace import Workspace, only_dataset

    workspace = Workspace(only_dataset(dataset))
    store = choose_store(workspace, alignment)
    path = out or workspace.report_path
    refuse_overwrite(path, force=force, error=WorkspaceError)
    if figures is not None:
        refuse_filled(figures, force=force)
    check_curve(severities, seeds)
    splits = choose_splits(workspace, store, split_names)
    encoder = None if text_encoder is None else _encoder(store, text_encoder)
    tasks = [] if no_curve else [get_task(task)] if task else tasks_of(splits)
    curves, notes = _curves(store, tasks, severities, seeds, encoder)
    page, numbering = corpus_report(store, splits, curves, encoder=encoder, notes=notes)
    saved = numbering.save(figures) if figures is not None else []
    write_text(path, page.to_html())
    conclude(
        {
            "report": str(path),
            "num_bytes": path.stat().st_size,
            "figures": [str(figure) for figure in saved],
            "splits": {split.name: split.manifest.digest for split in splits},
            "severity": {curve.task.name: curve.to_json() for curve in curves},
            "no_curve": notes,
        },
        [
            f"{len(splits)} split{'s' * (len(splits) != 1)}, {len(numbering.charts)} figures in {path}"
            f" ({path.stat().st_size / 1000:.0f} kB).",
            *([f"{len(saved)} files in {figures}."] if saved else []),
            *(f"No severity curve of task {name}: {reason}" for name, reason in notes.items()),
        ],
        None
        if splits and any(split.manifest.kind == "ood" for split in splits)
        else f"mer-data repartition{repeated(dataset=store.dataset, alignment=alignment)}",
        as_json=as_json,
    )


def _encoder(store: FeatureStore, name: str) -> EncoderProbe:
    from mer_data.reports.encoder_probe import EncoderProbe

    with progress_bar(f"sentences ({name})") as progress:
        return EncoderProbe(store, name, progress)


def _curves(
    store: FeatureStore,
    tasks: list[Task],
    severities: tuple[float, ...] | None,
    seeds: tuple[int, ...],
    encoder: EncoderProbe | None,
) -> tuple[list[SeverityCurve], dict[str, str]]:
    """A curve for each task, or the reason why the store gives none."""
    from mer_data.errors import SplitError
    from mer_data.reports.sections.severity import severities_of, severity_curve

    curves: list[SeverityCurve] = []
    notes: dict[str, Any] = {}
    for task in tasks:
        levels = severities or severities_of(store.dataset, task)
        try:
            with progress_bar(f"severity ({task.name})") as progress:
                curves.append(severity_curve(store, task, levels, seeds, encoder=encoder, progress=progress))
        except SplitError as error:
            notes[task.name] = str(error)
    return curves, notes
