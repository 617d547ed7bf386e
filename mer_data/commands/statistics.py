from __future__ import annotations

import click

from mer_data.cli_options import (
    conclude,
    output_options,
    progress_bar,
    repeated,
    split_option,
    store_options,
    task_option,
)


@click.command()
@store_options
@split_option
@task_option
@click.option(
    "--text-encoder",
    metavar="NAME",
    help="tiny, minilm, a folder or a hub id; default: the tokenizer's, or minilm where BERT is not here.",
)
@output_options
def statistics(
    dataset: str | None,
    alignment: str | None,
    split_name: str | None,
    task: str | None,
    text_encoder: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compute class priors and per-class mean features of the training fold.

    \b
    Examples:
      mer-data statistics
      mer-data statistics --dataset mosi --split ood_binary_seed0 --text-encoder minilm
    """
    from mer_data.errors import StatisticsError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.splits.inputs import choose_inputs
    from mer_data.statistics.class_statistics import class_statistics
    from mer_data.text.encoder import load_text_encoder
    from mer_data.text.pretrained import default_encoder

    inputs = choose_inputs(dataset, alignment, split_name, task)
    workspace, store, split, chosen = inputs.workspace, inputs.store, inputs.split, inputs.task
    encoder_name = text_encoder or default_encoder(store.tokenizer.name)
    path = workspace.statistics_path(store.path, inputs.split_path, chosen.name, encoder_name)
    refuse_overwrite(path, force=force, error=StatisticsError, option=None)
    encoder = load_text_encoder(encoder_name, store.tokenizer)
    with progress_bar("statistics") as progress:
        result = class_statistics(store, split, chosen, encoder, progress=progress)
    result.save(path)
    same = repeated(
        dataset=workspace.dataset, alignment=alignment, split=split_name or inputs.split_path.stem, task=task
    )
    priors = dict(zip(chosen.classes, (round(float(prior), 4) for prior in result.priors), strict=True))
    conclude(
        {
            "statistics": str(path),
            "priors": priors,
            "counts": result.counts.tolist(),
            "origin": result.origin,
        },
        [f"Priors {priors} and class means (text encoder {encoder_name}) in {path}."],
        f"mer-data counterfactual-vocab{same}",
        as_json=as_json,
    )
