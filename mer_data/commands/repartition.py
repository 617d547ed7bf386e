from __future__ import annotations

from pathlib import Path

import click

from mer_data.commands.shared import (
    alignment_option,
    conclude,
    dataset_option,
    force_option,
    json_option,
    progress_bar,
    repeated,
)


@click.command()
@dataset_option
@click.option("--task", type=click.Choice(["binary", "seven"]), default="binary", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Seed of the search; equal seeds, equal split.")
@click.option(
    "--min-count", default=10, show_default=True, help="Utterances that a word needs to be measured."
)
@click.option(
    "--smoothing", default=1.0, show_default=True, help="Pseudo-count of the class prior for every word."
)
@click.option(
    "--label-tolerance",
    default=0.02,
    show_default=True,
    help="How far a class share in test may be from the corpus's.",
)
@click.option(
    "--excess-bits",
    default=0.025,
    show_default=True,
    help="Divergence above a random split at which the search stops: 0 random, 1 the most that it finds.",
)
@alignment_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="Path of the manifest; default: in the workspace."
)
@force_option
@json_option
def repartition(
    dataset: str | None,
    task: str,
    seed: int,
    min_count: int,
    smoothing: float,
    label_tolerance: float,
    excess_bits: float,
    alignment: str | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make an out-of-distribution split: in test, words go with other labels than in training.

    \b
    Examples:
      mer-data repartition --dataset mosei
      mer-data repartition --dataset mosi --task seven --seed 1
    """
    from mer_data.errors import SplitError
    from mer_data.files import refuse_overwrite
    from mer_data.splits import repartition as search
    from mer_data.tasks import get_task
    from mer_data.workspace import Workspace, only_dataset

    workspace = Workspace(only_dataset(dataset))
    store = workspace.any_store(alignment)
    path = out or workspace.split_path(f"ood_{task}_seed{seed}")
    refuse_overwrite(path, force=force, error=SplitError)
    with progress_bar("search") as progress:
        manifest = search(
            store.utterances,
            dataset=store.dataset,
            utterance_digest=store.utterance_digest,
            task=get_task(task),
            seed=seed,
            min_count=min_count,
            smoothing=smoothing,
            label_tolerance=label_tolerance,
            excess_bits=excess_bits,
            progress=progress,
        )
    manifest.save(path)
    sizes = {fold: len(ids) for fold, ids in manifest.splits.items()}
    divergence = manifest.shift["word_label_divergence_bits"]
    conclude(
        {"split": str(path), "digest": manifest.digest, "sizes": sizes, "shift": manifest.shift},
        [
            f"{' / '.join(map(str, sizes.values()))} (train / valid / test) in {path}.",
            f"Word-to-label divergence {divergence['this_split']:.4f} bits (standard folds"
            f" {divergence['standard_folds']:.4f}, random {divergence['random_mean']:.4f}).",
            f"Cite it as {manifest.digest}.",
        ],
        f"mer-data statistics{repeated(dataset=store.dataset, alignment=alignment, split=out or path.stem)}",
        as_json=as_json,
    )
