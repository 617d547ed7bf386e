"""Class statistics and counterfactual vocabulary of a split, computed where they are not there yet."""

from __future__ import annotations

from collections.abc import Callable

from cider.experiment import Experiment
from mer_data.statistics.class_statistics import class_statistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.text_encoders import load_text_encoder
from mer_data.workspace import Workspace


def make_missing_inputs(
    experiment: Experiment,
    tell: Callable[[str], None],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write what ``mer-data statistics`` and ``mer-data counterfactual-vocab`` would, as far as it is needed.

    Files that are there stay as they are; whether they fit is checked when they are read.

    Args:
        experiment: names the store, split, task and text encoder.
        tell: called with a line about every file that is made.
        progress: of the statistics, called with utterances done and in total.

    Raises:
        StatisticsError: the training fold is empty.
    """
    workspace, settings = Workspace(experiment.recipe.data.dataset), experiment.recipe.model
    store, split, task = experiment.store, experiment.split, experiment.task
    statistics = workspace.statistics_path(
        store.path, experiment.split_path, task.name, settings.text_encoder
    )
    if settings.debiases_label and not statistics.is_file():
        tell(f"Class statistics are not there: computing {statistics}.")
        encoder = load_text_encoder(settings.text_encoder, store.word_pieces)
        class_statistics(store, split, task, encoder, progress=progress).save(statistics)
    vocabulary = workspace.vocabulary_path(store.path, experiment.split_path, task.name)
    if settings.debiases_language and not vocabulary.with_suffix(".json").is_file():
        tell(f"The counterfactual vocabulary is not there: counting {vocabulary}.")
        counterfactual_vocabulary(store, split, task).save(vocabulary)
