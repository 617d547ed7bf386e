from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cider.cli_options import code_again, code_option
from mer_data.cli_options import conclude, force_option, json_option, progress_bar, repeated

if TYPE_CHECKING:
    from cider.prediction.predictions import Predictions
    from mer_data.store.reader import FeatureStore

_SHOWN = 10


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--store",
    "store_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Store with the utterances: that of training, or another corpus's with the same columns.",
)
@click.option(
    "--split", "split_name", metavar="NAME", help="With --fold: split of the store, by name or path."
)
@click.option("--fold", type=click.Choice(["train", "valid", "test"]), help="Predict one fold of --split.")
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

    from cider.prediction.prediction_files import check_target, write_predictions
    from cider.prediction.sentiment_predictor import SentimentPredictor
    from mer_data.files.csv_files import to_csv
    from mer_data.store.reader import FeatureStore

    if out is not None and out != "-":
        check_target(Path(out), force=force)
    store = FeatureStore.open(store_path)
    chosen = _chosen_ids(store, split_name, fold, ids_file)
    with progress_bar("choose tau on validation") as progress:
        predictor = SentimentPredictor.load(run, tau=tau, progress=progress)
    with progress_bar("predict") as progress:
        predictions = predictor.predict(store, chosen, progress=progress)
    if out == "-":
        click.echo(to_csv(predictions.to_frame()), nl=False)
        click.echo("\n".join(_facts(predictions)), err=True)
        return
    ids_name = None if ids_file is None else ids_file.name
    if out is not None:
        write_predictions(predictions, Path(out))
    lines = _facts(predictions)
    if out is None:
        lines = [*_table(predictions), "", *lines]
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


def _chosen_ids(
    store: FeatureStore, split_name: str | None, fold: str | None, ids_file: Any
) -> list[str] | None:
    """Ids to predict, None for all."""
    from mer_data.errors import MerDataError

    if ids_file is not None:
        try:
            ids = [line.strip() for line in ids_file if line.strip()]
        except UnicodeDecodeError as error:
            raise MerDataError(
                "not a list of ids", where=ids_file.name, expected="UTF-8 text, one id per line"
            ) from error
        if not ids:
            raise MerDataError("no ids", where=ids_file.name, expected="one id per line")
        return ids
    if split_name is None or fold is None:
        return None
    from mer_data.splits import SplitManifest
    from mer_data.workspace import Workspace

    split = SplitManifest.load(Workspace(store.dataset).choose_split(split_name))
    split.check_store(store.utterance_digest, store.utterances["id"], store.path)
    return list(split.splits[fold])


def _table(predictions: Predictions) -> list[str]:
    """The first utterances, their predicted class, and their scores before and after debiasing."""
    frame = predictions.to_frame().head(_SHOWN)
    shown = frame[[name for name in frame.columns if not name.startswith("cf_")]]
    table = shown.to_string(index=False, float_format="{:.3f}".format)
    rest = len(predictions) - _SHOWN
    return [*table.splitlines(), *([f"... and {rest} more"] if rest > 0 else [])]


def _facts(predictions: Predictions) -> list[str]:
    """How many of what, the strength, and what to keep in mind."""
    counts = ", ".join(f"{count} {name}" for name, count in predictions.class_counts.items())
    return [
        f"{len(predictions)} utterances: {counts}.",
        f"tau {predictions.tau.value:g}, {predictions.tau.source};"
        f" debiasing changed {predictions.num_changed} answers.",
        *(f"Note: {note}." for note in predictions.notes),
    ]
