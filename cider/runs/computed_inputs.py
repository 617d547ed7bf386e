"""Class statistics and counterfactual vocabulary of a split, computed where they are not there yet."""

from __future__ import annotations

from collections.abc import Callable

from cider.runs.experiment import Experiment
from cider.runs.split_inputs import statistics_input, vocabulary_input
from mer_data.progress import Progress
from mer_data.statistics.class_statistics import class_statistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.text.encoder import load_text_encoder


def make_missing_inputs(
    experiment: Experiment,
    tell: Callable[[str], None],
    *,
    progress: Progress | None = None,
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
    recipe, store, split, task = experiment.recipe, experiment.store, experiment.split, experiment.task
    statistics = statistics_input(recipe, store.path, experiment.split_path)
    if statistics.is_missing:
        tell(f"Class statistics are not there: computing {statistics.save_path}.")
        encoder = load_text_encoder(recipe.model.text_encoder, store.tokenizer)
        class_statistics(store, split, task, encoder, progress=progress).save(statistics.save_path)
    vocabulary = vocabulary_input(recipe, store.path, experiment.split_path)
    if vocabulary.is_missing:
        tell(f"The counterfactual vocabulary is not there: counting {vocabulary.save_path}.")
        counterfactual_vocabulary(store, split, task).save(vocabulary.save_path)
