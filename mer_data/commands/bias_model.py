from __future__ import annotations

import click

from mer_data.cli_options import (
    alignment_option,
    conclude,
    dataset_option,
    force_option,
    json_option,
    split_option,
    task_option,
)


@click.command("bias-model")
@dataset_option
@alignment_option
@split_option
@task_option
@click.option("--seed", default=0, show_default=True, help="Seed of the five folds of training utterances.")
@force_option
@json_option
def bias_model(
    dataset: str | None,
    alignment: str | None,
    split_name: str | None,
    task: str | None,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Fit what the words of the counterfactual vocabulary say of the class, out of fold.

    Prints how often these words alone are right in each fold: on an out-of-distribution split far more often
    in training than in test.

    \b
    Examples:
      mer-data bias-model
      mer-data bias-model --dataset mosi --split ood_binary_seed0
    """
    from mer_data.errors import StatisticsError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.splits.inputs import choose_inputs
    from mer_data.statistics import bias_model as bias
    from mer_data.statistics.vocabulary import load_kept_tokens, load_vocabulary, vocabulary_origin

    inputs = choose_inputs(dataset, alignment, split_name, task)
    workspace, store, split, chosen = inputs.workspace, inputs.store, inputs.split, inputs.task
    path = workspace.bias_model_path(store.path, inputs.split_path, chosen.name)
    refuse_overwrite(path, force=force, error=StatisticsError, option=None)
    vocabulary = workspace.vocabulary_path(store.path, inputs.split_path, chosen.name).with_suffix(".json")
    command = f"mer-data counterfactual-vocab --split {inputs.split_path.stem} --task {chosen.name}"
    token_ids = load_kept_tokens(vocabulary, vocabulary_origin(store, split), chosen, command=command)
    digest = str(load_vocabulary(vocabulary)["content_digest"])
    made = bias.bias_model(store, split, chosen, token_ids, digest, seed=seed)
    made.save(path)
    shares = ", ".join(f"{fold} {100 * value:.1f}%" for fold, value in made.accuracy.items())
    lines = [f"Bias model of {len(token_ids)} words in {path}.", f"The words alone are right: {shares}."]
    lines += [f"  {name}: {' '.join(word for word, _ in words)}" for name, words in made.strongest.items()]
    conclude(
        {"path": str(path), "accuracy": made.accuracy, "strongest": made.strongest},
        lines,
        "cider train RECIPE",
        as_json=as_json,
    )
