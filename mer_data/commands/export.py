from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import click

from mer_data.commands.shared import (
    alignment_option,
    conclude,
    dataset_option,
    force_option,
    json_option,
    progress_bar,
    split_option,
)

_SUFFIXES = {"mmsa": ".pkl", "parquet": ".parquet"}


@click.command()
@click.option(
    "--format",
    "layout",
    type=click.Choice(list(_SUFFIXES)),
    required=True,
    help="mmsa: a pickle for MMSA and its kin. parquet: one row per utterance, and a file of words.",
)
@dataset_option
@alignment_option
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
@click.option("--out", type=click.Path(path_type=Path), help="Path of the file; default: in the workspace.")
@force_option
@json_option
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
    """Write a store and a split in the format of other trainers.

    \b
    Examples:
      mer-data export --format mmsa
      mer-data export --format mmsa --dataset mosi --split ood_binary_seed0 --text-encoder minilm
      mer-data export --format parquet --out mosi.parquet
    """
    from mer_data.errors import ExportError
    from mer_data.files import refuse_overwrite
    from mer_data.splits import SplitManifest
    from mer_data.workspace import Workspace, only_dataset

    if layout != "mmsa" and (text_encoder or pad_to != "longest" or at_least_one_frame):
        raise ExportError("--text-encoder, --pad-to and --at-least-one-frame belong to --format mmsa")
    workspace = Workspace(only_dataset(dataset))
    store = workspace.choose_store(alignment)
    split_path = workspace.choose_split(split_name)
    split = SplitManifest.load(split_path)
    target = out or workspace.export_path(store.path, split_path, _SUFFIXES[layout])
    refuse_overwrite(target, force=force, error=ExportError)
    result: dict[str, Any]
    if layout == "mmsa":
        from mer_data.export.mmsa import export_mmsa

        with progress_bar("export") as progress:
            written = export_mmsa(
                store,
                split,
                target,
                text_encoder=text_encoder,
                pad_to=cast(Literal["longest", "limits"], pad_to),
                at_least_one_frame=at_least_one_frame,
                progress=progress,
            )
        result = {**vars(written), "path": str(target)}
        lines = [f"  {key}: {' x '.join(map(str, shape))}" for key, shape in written.shapes.items()]
        lines += [f"  {name} rows cut at the limit: {num}" for name, num in written.num_cut.items() if num]
        lines += [
            f"  {name} rows without frames: {num}"
            + ("" if at_least_one_frame else " (recurrent models may need --at-least-one-frame)")
            for name, num in written.num_empty.items()
            if num and store.alignment == "unaligned"
        ]
    else:
        from mer_data.export.parquet import export_parquet, words_path

        refuse_overwrite(words_path(target), force=force, error=ExportError)
        with progress_bar("export") as progress:
            tables = export_parquet(store, split, target, progress=progress)
        result = {**vars(tables), "path": str(target), "words_path": str(tables.words_path)}
        lines = [f"  {tables.num_words} words in {tables.words_path}"]
    sizes = " / ".join(map(str, result["sizes"].values()))
    conclude(
        {**result, "split": split.digest},
        [f"{sizes} (train / valid / test) in {target}.", *lines],
        None,
        as_json=as_json,
    )
