from __future__ import annotations

import click

from mer_data.cli_options import conclude, output_options, split_option, store_options, task_option


@click.command("counterfactual-vocab")
@store_options
@split_option
@task_option
@click.option(
    "--min-variation",
    default=0.1,
    show_default=True,
    help="Smallest coefficient of variation of a kept token.",
)
@click.option(
    "--size", default=100, show_default=True, help="At most so many tokens are kept, the most frequent ones."
)
@click.option("--all-classes", is_flag=True, help="For binary: count neutral utterances too.")
@output_options
def counterfactual_vocab(
    dataset: str | None,
    alignment: str | None,
    split_name: str | None,
    task: str | None,
    min_variation: float,
    size: int,
    all_classes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """List the frequent tokens whose counts differ between the classes of the training fold.

    \b
    Examples:
      mer-data counterfactual-vocab
      mer-data counterfactual-vocab --dataset mosi --split ood_seven_seed0 --size 50
    """
    from mer_data.errors import StatisticsError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.splits.inputs import choose_inputs
    from mer_data.statistics.vocabulary import counterfactual_vocabulary

    inputs = choose_inputs(dataset, alignment, split_name, task)
    workspace, store, split, chosen = inputs.workspace, inputs.store, inputs.split, inputs.task
    path = workspace.vocabulary_path(store.path, inputs.split_path, chosen.name)
    refuse_overwrite(path, force=force, error=StatisticsError, option=None)
    vocabulary = counterfactual_vocabulary(
        store, split, chosen, min_variation=min_variation, size=size, all_classes=all_classes
    )
    vocabulary.save(path)
    kept = vocabulary.table[vocabulary.table["kept"]].sort_values("rank")["token"].tolist()
    conclude(
        {"csv": str(path), "json": str(path.with_suffix(".json")), "kept": kept},
        [f"{len(kept)} of {len(vocabulary.table)} tokens kept in {path}.", f"  {' '.join(kept[:15])} ..."],
        "cider train RECIPE",
        as_json=as_json,
    )
