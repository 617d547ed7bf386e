from __future__ import annotations

from pathlib import Path

import click

from mer_data.cli_options import conclude, output_options, repeated, store_options


@click.command("standard-split")
@store_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="Path of the manifest; default: in the workspace."
)
@output_options
def standard_split(
    dataset: str | None, alignment: str | None, out: Path | None, force: bool, as_json: bool
) -> None:
    """Write the published train, valid and test folds as a split manifest.

    \b
    Example:
      mer-data standard-split --dataset mosi
    """
    from mer_data.errors import SplitError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.splits import standard_split as make
    from mer_data.store.choose import any_store
    from mer_data.workspace import Workspace, only_dataset

    workspace = Workspace(only_dataset(dataset))
    store = any_store(workspace, alignment)
    path = out or workspace.split_path("standard")
    refuse_overwrite(path, force=force, error=SplitError)
    manifest = make(store.utterances, dataset=store.dataset, utterance_digest=store.utterance_digest)
    manifest.save(path)
    sizes = {fold: len(ids) for fold, ids in manifest.splits.items()}
    conclude(
        {"split": str(path), "digest": manifest.digest, "sizes": sizes, "shift": manifest.shift},
        [
            f"{' / '.join(map(str, sizes.values()))} (train / valid / test) in {path}.",
            f"Cite it as {manifest.digest}.",
        ],
        f"mer-data statistics{repeated(dataset=store.dataset, alignment=alignment, split=out or path.stem)}",
        as_json=as_json,
    )
