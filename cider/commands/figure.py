from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cider.cli_options import FOLD, PATH, code_option, parse_rates, run_argument, runs_argument
from mer_data.cli_options import conclude, force_option, json_option, progress_bar

if TYPE_CHECKING:
    from cider.figures.embedding import Method

out_option = click.option("--out", type=PATH, help="Folder; default: figures in the folder of the first RUN.")


@click.group()
def figure() -> None:
    """Draw figures of trained runs, as PNG and PDF with their data beside.

    \b
    Examples:
      cider figure embedding runs/sample-seed1111 runs/undistilled/sample-seed1111
      cider figure correction runs/sample-seed1111 --plain runs/plain/sample-seed1111
      cider figure debiasing runs/sample-seed1111
    """


@figure.command()
@runs_argument
@click.option("--rates", metavar="R,R,...", default="0.1,0.3,0.5", show_default=True, help="Missing rates.")
@click.option("--fold", type=FOLD, default="test", show_default=True, help="Whose utterances.")
@click.option(
    "--method",
    type=click.Choice(["tsne", "pca"]),
    default="tsne",
    show_default=True,
    help="Projection to two dimensions.",
)
@out_option
@code_option
@force_option
@json_option
def embedding(
    runs: tuple[Path, ...],
    rates: str,
    fold: str,
    method: Method,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show where utterances lie in the space of joint representations (paper Fig. 8).

    One panel per run and missing rate, with the silhouette of the true classes in the joint space itself: a
    projection can look tidier than what it shows. The points are also written as CSV.

    \b
    Examples:
      cider figure embedding runs/sample-seed1111 runs/undistilled/sample-seed1111
      cider figure embedding runs/mosi-seed1111 --rates 0,0.5,0.9 --method pca --out figures
    """  # fmt: skip
    from cider.figures import embed_runs

    stem = _free_stem(out or runs[0] / "figures", "embedding", force=force)
    with progress_bar("embedding") as progress:
        found = embed_runs(runs, parse_rates(rates), fold=fold, method=method, progress=progress)
    paths = found.write(stem)
    told = found.to_json()
    lines = ["Silhouette of the true classes in the joint space (-1 to 1, higher is further apart):"]
    lines += [
        f"  {panel['run']}, rate {panel['rate']:g}: "
        + ("undefined" if panel["silhouette"] is None else f"{panel['silhouette']:.3f}")
        for panel in told["panels"]
    ]
    lines += [f"Figure: {paths[0]}"]
    conclude({**told, "files": list(map(str, paths))}, lines, None, as_json=as_json)


@figure.command()
@run_argument
@click.option(
    "--plain",
    required=True,
    type=PATH,
    metavar="RUN",
    help="Run with model.maci none on the same data.",
)
@click.option("--id", "utterance", metavar="UTTERANCE", help="Of the test fold; default: the most corrected.")
@out_option
@code_option
@force_option
@json_option
def correction(
    run: Path, plain: Path, utterance: str | None, out: Path | None, force: bool, as_json: bool
) -> None:
    """Show one prediction corrected step by step (paper Fig. 9).

    Class probabilities of one test utterance by the plain run, with MCM, and with counterfactual text too, at
    the tau that validation chose; with the words that the counterfactual text keeps. Without --id it is, of
    the utterances that the plain run gets wrong and RUN right, the one that RUN is surest of: an
    illustration, not evidence. The caption says so, and counts corrected and spoiled answers.

    \b
    Examples:
      cider figure correction runs/sample-seed1111 --plain runs/plain/sample-seed1111
      cider figure correction runs/mosi-seed1111 --plain runs/mosi_plain-seed1111 --id 03bSnISJMiM_4
    """  # fmt: skip
    from cider.figures import explain_correction
    from cider.figures.correction_chart import write_correction

    stem = _free_stem(out or run / "figures", "correction", force=force)
    with progress_bar("tau") as progress:
        found = explain_correction(run, plain, utterance=utterance, progress=progress)
    paths = write_correction(found, stem)
    told = found.to_json()
    lines = [
        f"{found.id}, {told['true_class']}: {found.text}",
        f"Counterfactual: {found.counterfactual_text}",
    ]
    for name, step in told["steps"].items():
        scores = ", ".join(
            f"{label} {score:.3f}" for label, score in zip(told["classes"], step["scores"], strict=True)
        )
        lines.append(f"  {name}: {scores} -> {step['predicted']}")
    lines += [found.caption, f"Figure: {paths[0]}"]
    conclude({**told, "files": list(map(str, paths))}, lines, None, as_json=as_json)


@figure.command()
@run_argument
@click.option("--rate", type=float, default=0.0, show_default=True, help="Missing rate.")
@out_option
@code_option
@force_option
@json_option
def debiasing(run: Path, rate: float, out: Path | None, force: bool, as_json: bool) -> None:
    """Show what each half of causal inference does to a run's answers, and what more of it would.

    On validation and test: the answers with classes as at test and as in training, those to the
    counterfactual text alone, and the curve over the strength tau.

    \b
    Examples:
      cider figure debiasing runs/sample-seed1111
      cider figure debiasing runs/sample-seed1111 --rate 0.5 --out figures
    """  # fmt: skip
    from cider.figures import explain_debiasing

    stem = _free_stem(out or run / "figures", "debiasing", force=force)
    with progress_bar("folds") as progress:
        found = explain_debiasing(run, rate=rate, progress=progress)
    paths = found.write(stem)
    lines = [*found.lines(), f"Written: {', '.join(map(str, paths))}"]
    conclude({**found.to_json(), "files": list(map(str, paths))}, lines, None, as_json=as_json)


def _free_stem(folder: Path, name: str, *, force: bool) -> Path:
    """Return the path of a figure without its suffix; one that exists is an error, unless ``force``."""
    from mer_data.errors import RunError
    from mer_data.files.writing import refuse_overwrite

    refuse_overwrite(folder / f"{name}.json", force=force, error=RunError)
    return folder / name
