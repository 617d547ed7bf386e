import dataclasses

import pytest

from mer_data.reports.provenance import parameters_in_words, provenance, shared_parameters
from mer_data.splits import RepartitionSettings, SplitManifest
from mer_data.splits.published import NOT_IN_STORE
from mer_data.tasks import TASKS
from mer_data.utterances import DroppedUtterance


def manifest_of(generator, dropped=()):
    folds = {"train": ("a",), "valid": ("b",), "test": ("c",)}
    return SplitManifest("mosi", "binary", "ood", generator, "sha256:0", folds, dropped, {})


def recorded(**changes):
    settings = RepartitionSettings(**changes).for_corpus("mosi", TASKS["binary"])
    return {"name": "repartition", **settings.recorded(0.6)}


def test_every_parameter_is_told():
    text = provenance(manifest_of(recorded(seed=3)))
    assert text == (
        "A search with seed 3, severity 0.6; single utterances move (a speaker may be on both sides);"
        " validation from the side of train; sizes of the standard folds (min count 10, smoothing 1, label"
        " tolerance 0.02, restarts 2, steps per utterance 40)."
    )
    names = {field.name.replace("_", " ") for field in dataclasses.fields(RepartitionSettings)}
    in_words = {"severity", "group by", "keep valid", "sizes", "seed"}
    assert all(name in text for name in names - in_words)


def test_other_choices_have_other_words():
    text = provenance(manifest_of(recorded(group_by="video", keep_valid="ood", sizes=(10, 5, 7))))
    assert "whole videos move (no speaker is on both sides)" in text
    assert "validation from the side of test" in text
    assert "sizes [10, 5, 7]" in text


@pytest.mark.parametrize(
    ("generator", "expected"),
    [
        ({"name": "standard_folds"}, "The published folds of the corpus."),
        ({"name": "hand"}, "Made by hand."),
        ({"name": "lab", "draws_per_class": 4, "share": 0.50}, "Made by lab (draws per class 4, share 0.5)."),
        (
            {"name": "repartition", "seed": 1, "excess_bits": 0.025},
            "A search with seed 1 (excess bits 0.025).",
        ),
        (
            {"name": "applied", "manifest": "sha256:1", "made_by": {"name": "standard_folds"}},
            "Applied to this store from manifest sha256:1. The published folds of the corpus.",
        ),
        (
            {"name": "applied", "manifest": "sha256:1", "made_by": {}},
            "Applied to this store from manifest sha256:1. Made elsewhere.",
        ),
    ],
)
def test_other_generators(generator, expected):
    assert provenance(manifest_of(generator)) == expected


def test_missing_utterances_are_counted():
    dropped = (
        DroppedUtterance("d", NOT_IN_STORE),
        DroppedUtterance("e", NOT_IN_STORE),
        DroppedUtterance("f", "no text"),
    )
    text = provenance(manifest_of({"name": "standard_folds"}, dropped))
    assert text.endswith("The store lacks 2 of its utterances.")


def test_what_all_searches_share_is_told_once():
    searches = [
        manifest_of(recorded(group_by="utterance", seed=3)),
        manifest_of(recorded(group_by="video")),
    ]
    shared = shared_parameters([*searches, manifest_of({"name": "standard_folds"})])
    assert parameters_in_words(shared) == (
        "validation from the side of train; sizes of the standard folds (min count 10, smoothing 1, label"
        " tolerance 0.02, restarts 2)"
    )
    assert [provenance(search, shared) for search in searches] == [
        "A search with seed 3, severity 0.6; single utterances move (a speaker may be on both sides)"
        " (steps per utterance 40).",
        "A search (version 2) with seed 0, severity 0.6; whole videos move (no speaker is on both sides)"
        " (steps per utterance 80).",
    ]
    other = provenance(manifest_of(recorded(min_count=3)), shared)
    assert "(min count 3, steps per utterance 40)" in other


def test_a_search_alone_shares_nothing():
    assert shared_parameters([manifest_of(recorded()), manifest_of({"name": "hand"})]) == {}


def test_where_searches_share_everything_their_seeds_and_severities_are_left():
    searches = [manifest_of(recorded(seed=seed)) for seed in (0, 1)]
    shared = shared_parameters(searches)
    assert [provenance(search, shared) for search in searches] == [
        "A search with seed 0, severity 0.6.",
        "A search with seed 1, severity 0.6.",
    ]
