from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.cli_options import (
    Numbers,
    alignment_option,
    conclude,
    dataset_option,
    output_options,
    progress_bar,
    repeated,
)

if TYPE_CHECKING:
    from mer_data.splits import SplitManifest


@click.command()
@dataset_option
@click.option("--task", type=click.Choice(["binary", "seven"]), default="binary", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Seed of the search; equal seeds, equal split.")
@click.option(
    "--severity",
    type=float,
    metavar="0..1",
    help="How far words shift: 0 as in a random split, 1 the most that the search finds, which is adversarial"
    " (in test, words mean the opposite). Default: calibrated (docs/severity.md); on CMU-MOSI 0.6 for binary"
    " and 0.4 for seven, on CMU-MOSEI 0.6 for binary and 0.9 for seven.",
)
@click.option(
    "--series",
    type=Numbers(float),
    metavar="LIST",
    help="Several severities at once, as 0,0.25,0.5,0.75,1: one split each, with equal sizes.",
)
@click.option(
    "--group-by",
    type=click.Choice(["utterance", "video"]),
    help="What moves as a whole; video keeps every speaker in one fold. Default: video on CMU-MOSEI, else"
    " utterance.",
)
@click.option(
    "--keep-valid",
    type=click.Choice(["iid", "ood"]),
    default="iid",
    show_default=True,
    help="Where validation comes from: iid as train, ood as test.",
)
@click.option(
    "--sizes",
    type=Numbers(int),
    metavar="TRAIN,VALID,TEST",
    help="Utterances per fold; default: as in the standard folds.",
)
@click.option(
    "--label-tolerance",
    default=0.02,
    show_default=True,
    help="How far a class share in test may be from the corpus's.",
)
@click.option(
    "--min-count",
    default=10,
    show_default=True,
    help="Utterances that a word needs to be measured; rarer ones say nothing about labels.",
)
@click.option(
    "--smoothing",
    default=1.0,
    show_default=True,
    help="Utterances of the class prior that every word is given, so that two sightings are no certainty.",
)
@click.option("--restarts", default=2, show_default=True, help="Searches, of which the furthest is kept.")
@click.option(
    "--from-manifest",
    metavar="NAME",
    help="Take a published split (or a manifest's path) instead of searching.",
)
@alignment_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Path of the manifest (of a folder with --series); default: in the workspace.",
)
@output_options
@click.pass_context
def repartition(
    context: click.Context,
    dataset: str | None,
    task: str,
    severity: float | None,
    series: tuple[float, ...] | None,
    from_manifest: str | None,
    alignment: str | None,
    out: Path | None,
    force: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Make an out-of-distribution split: in test, words go with other labels than in training.

    \b
    Examples:
      mer-data repartition --dataset mosei
      mer-data repartition --dataset mosei --task seven --seed 1
      mer-data repartition --dataset mosei --group-by utterance
      mer-data repartition --dataset mosi --series 0,0.25,0.5,0.75,1
      mer-data repartition --dataset mosi --group-by video
      mer-data repartition --dataset mosi --from-manifest ood_binary_seed0
    """
    from mer_data.errors import SplitError
    from mer_data.splits import RepartitionSettings
    from mer_data.splits.write import apply_published, make_splits, num_other_texts
    from mer_data.store.choose import any_store
    from mer_data.tasks import get_task
    from mer_data.workspace import Workspace, only_dataset

    workspace = Workspace(only_dataset(dataset))
    store = any_store(workspace, alignment)
    texts: dict[str, int | None] = {}
    if from_manifest is not None:
        _refuse_search_options(context, from_manifest)
        made = [apply_published(workspace, store, from_manifest, out=out, force=force)]
        texts = {"other_texts": num_other_texts(workspace, store, made[0][1])}
    else:
        if series is not None and severity is not None:
            raise SplitError("--severity and --series were both given", do="Give one of them")
        settings = RepartitionSettings(severity=severity, **parameters)
        with progress_bar("search") as progress:
            made = make_splits(
                workspace,
                store,
                get_task(task),
                settings,
                series=series,
                out=out,
                force=force,
                progress=progress,
            )
    results = [_result(path, manifest) for path, manifest in made]
    path = made[-1][0]
    shown = str(path) if out is not None else path.stem
    conclude(
        {**results[0], **texts} if series is None else {"series": results},
        [*(line for path, manifest in made for line in _lines(path, manifest)), *_text_lines(texts)],
        f"mer-data statistics{repeated(dataset=store.dataset, alignment=alignment, split=shown)}",
        as_json=as_json,
    )


def _refuse_search_options(context: click.Context, name: str) -> None:
    """Refuse parameters of a search that will not take place."""
    from click.core import ParameterSource

    from mer_data.errors import SplitError

    free = {"dataset", "from_manifest", "alignment", "out", "force", "as_json"}
    given = [
        f"--{parameter.replace('_', '-')}"
        for parameter in context.params
        if parameter not in free and context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise SplitError(f"{', '.join(given)} cannot change the published split {name!r}", do="Leave it out")


def _result(path: Path, manifest: SplitManifest) -> dict[str, Any]:
    from mer_data.splits.published import missing_utterances
    from mer_data.splits.shift.measure import deviations_above_random

    sizes = {fold: len(ids) for fold, ids in manifest.splits.items()}
    return {
        "split": str(path),
        "digest": manifest.digest,
        "sizes": sizes,
        "missing": missing_utterances(manifest),
        "deviations_above_random": deviations_above_random(manifest.shift),
        "shift": manifest.shift,
    }


def _lines(path: Path, manifest: SplitManifest) -> list[str]:
    """Describe one split for a person."""
    result = _result(path, manifest)
    bits, probe = manifest.shift["word_label_divergence_bits"], manifest.shift["text_probe"]
    above = result["deviations_above_random"]
    lines = [
        f"{' / '.join(map(str, result['sizes'].values()))} (train / valid / test) in {path}.",
    ]
    if bits["this_split"] is not None:
        distance = "" if above is None else f"; {above:.0f} standard deviations above random"
        lines.append(
            f"Word-to-label divergence {bits['this_split']:.4f} bits ({_compared(bits, '{:.4f}')}{distance})."
        )
    if probe["test"] is not None:
        lines.append(
            f"A bag of words has {probe['metric'].capitalize()} {probe['test']:.1%} on test"
            f" ({_compared(probe, '{:.1%}')})."
        )
    if result["missing"]:
        shown = ", ".join(result["missing"][:10])
        lines.append(f"{len(result['missing'])} utterances of the manifest are not in the store: {shown}.")
    return [*lines, f"Cite it as {manifest.digest}."]


def _text_lines(texts: dict[str, int | None]) -> list[str]:
    """Whether the texts are those of the store that an applied split was made from."""
    if not texts:
        return []
    count = texts["other_texts"]
    if count is None:
        return ["Texts were not compared: the store that the split was made from is not in the workspace."]
    return [f"{count} utterances have other texts than in the store that the split was made from."] * (
        count > 0
    )


def _compared(values: dict[str, Any], form: str) -> str:
    """The same number for the standard folds, where there are any, and for random splits."""
    named = {"standard folds": values["standard_folds"], "random": values["random_mean"]}
    return ", ".join(f"{name} {form.format(value)}" for name, value in named.items() if value is not None)
