from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cider.cli_options import FOLD, PATH, code_again, code_option, run_argument
from mer_data.cli_options import conclude, force_option, json_option, progress_bar, repeated


@click.command()
@run_argument
@click.option(
    "--store",
    "store_path",
    required=True,
    type=PATH,
    help="Store with the utterances: that of training, or another corpus's with the same columns.",
)
@click.option(
    "--split", "split_name", metavar="NAME", help="With --fold: split of the store, by name or path."
)
@click.option("--fold", type=FOLD, help="Predict one fold of --split.")
@click.option(
    "--ids",
    "ids_file",
    type=click.File(encoding="utf-8-sig"),
    help="Predict the ids in this file, one a line.",
)
@click.option("--tau", type=float, help="Debiasing strength; default: the one that validation chooses.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write all scores to a .csv or .parquet file, or as CSV to standard output (-).",
)
@code_option
@force_option
@json_option
def predict(
    run: Path,
    store_path: Path,
    split_name: str | None,
    fold: str | None,
    ids_file: Any,
    tau: float | None,
    out: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Predict utterances of a store with a trained RUN: all of them, those of a fold, or those listed.

    Every utterance gets class probabilities (p_), those of its counterfactual text (cf_), and debiased
    scores, p - tau cf, whose greatest is the predicted class. Labels in the store are not looked at.

    \b
    Examples:
      cider predict runs/sample-seed1111 --store data/sample/store/unaligned.h5
      cider predict runs/sample-seed1111 --store data/sample/store/unaligned.h5 --split standard --fold test
      cider predict runs/mosi-seed1111 --store data/mosei/store/unaligned.h5 --out mosei.parquet
      cider predict runs/mosi-seed1111 --store data/mosi/store/unaligned.h5 --ids ids.txt --out - | head
    """
    if (split_name is None) != (fold is None):
        raise click.UsageError("--split and --fold go together.")
    if fold is not None and ids_file is not None:
        raise click.UsageError("Choose utterances by --fold or by --ids, not both.")
    if out == "-" and as_json:
        raise click.UsageError("--out - and --json both print to standard output: choose one.")

    from cider.prediction.items import chosen_ids
    from cider.prediction.predictions import check_target, write_predictions
    from cider.prediction.sentiment_predictor import SentimentPredictor
    from mer_data.files.csv_files import to_csv
    from mer_data.store.reader import FeatureStore

    if out is not None and out != "-":
        check_target(Path(out), force=force)
    store = FeatureStore.open(store_path)
    chosen = chosen_ids(store, split_name, fold, ids_file)
    with progress_bar("choose tau on validation") as progress:
        predictor = SentimentPredictor.load(run, tau=tau, progress=progress)
    with progress_bar("predict") as progress:
        predictions = predictor.predict(store, chosen, progress=progress)
    if out == "-":
        click.echo(to_csv(predictions.to_frame()), nl=False)
        click.echo("\n".join(predictions.facts()), err=True)
        return
    ids_name = None if ids_file is None else ids_file.name
    if out is not None:
        write_predictions(predictions, Path(out))
    lines = predictions.facts()
    if out is None:
        lines = [*predictions.table(), "", *lines]
        same = repeated(store=store_path, split=split_name, fold=fold, ids=ids_name, tau=tau)
        following = f"cider predict {run}{same}{code_again()} --out predictions.csv"
    else:
        lines.append(f"Written: {out}")
        following = None
    conclude(
        {"run": str(run), "store": str(store_path), "out": out, **predictions.to_json(rows=out is None)},
        lines,
        following,
        as_json=as_json,
    )
