import dataclasses
import json

import numpy as np
import pytest

from cider.figures import correction as module
from cider.figures import explain_correction
from cider.figures.corrected_prediction import BOTH, MCM, PLAIN, Piece
from cider.figures.corrected_prediction import COUNTERFACTUAL_TEXT as CF
from cider.figures.correction_chart import wrap_pieces, write_correction
from cider.figures.trained import LoadedRun
from cider.prediction.chosen_tau import Tau
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL
from mer_data.errors import RunError

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def tables(trained_run, plain_run):
    """Everything that the choice is made from, computed once more."""
    run = LoadedRun.open(trained_run)
    fold = run.fold("test", counterfactual=True)
    views = fold.predict("rmfm", 0.0, 0)
    plain = LoadedRun.open(plain_run).fold("test").predict("rmfm", 0.0, 0)[FACTUAL]
    truth = np.sign(fold.labels).astype(int) + 1
    return fold.ids, truth, plain, views[FACTUAL], views[COUNTERFACTUAL]


@pytest.fixture
def weak_tau(monkeypatch):
    def set_to(value):
        monkeypatch.setattr(module, "tau_of_run", lambda *_, **__: Tau(value, "of a test"))

    set_to(0.2)
    return set_to


def test_the_steps_are_the_answers_of_both_runs(trained_run, plain_run, tables, weak_tau):
    ids, truth, plain, factual, counterfactual = tables
    chosen = ids[3]
    found = explain_correction(trained_run, plain_run, utterance=chosen)
    assert found.scores[PLAIN] == pytest.approx(plain[3])
    assert found.scores[MCM] == pytest.approx(factual[3])
    assert found.scores[CF] == pytest.approx(counterfactual[3])
    assert found.scores[BOTH] == pytest.approx(factual[3] - 0.2 * counterfactual[3])
    assert (found.id, found.true_class, found.utterances) == (chosen, truth[3], 24)
    whole, before = (factual - 0.2 * counterfactual).argmax(1) == truth, plain.argmax(1) == truth
    assert found.corrected == sum(whole & ~before)
    assert found.spoiled == sum(before & ~whole)
    assert "chosen by hand, so it proves nothing" in found.caption


def test_without_an_id_it_is_the_surest_of_the_corrected(trained_run, plain_run, tables, weak_tau):
    ids, truth, plain, factual, counterfactual = tables
    found = explain_correction(trained_run, plain_run)
    leads = {}
    for row, name in enumerate(ids):
        scores = factual[row] - 0.2 * counterfactual[row]
        if plain[row].argmax() != truth[row] == scores.argmax():
            rest = sorted(scores)
            leads[name] = rest[-1] - rest[-2]
    assert len(leads) > 1
    assert found.id == max(leads, key=leads.get)
    assert "picked for showing, so it proves nothing" in found.caption


def test_the_counterfactual_text_keeps_the_vocabulary(trained_run, plain_run, tables, weak_tau):
    run = LoadedRun.open(trained_run)
    vocabulary = run.experiment.store.tokenizer.vocabulary
    kept = {vocabulary[index] for index in run.experiment.kept_token_ids()}
    with_words = next(
        name for name, text in zip(*run.experiment.store.utterances[["id", "text"]].to_numpy().T, strict=True)
        if name in tables[0] and len(text.split()) > 3
    )  # fmt: skip
    found = explain_correction(trained_run, plain_run, utterance=with_words)
    assert all(piece.kept == (piece.text in kept or piece.text == "[UNK]") for piece in found.pieces)
    assert found.counterfactual_text.count("[MASK]") == sum(not piece.kept for piece in found.pieces)


def test_no_debiasing_is_told(trained_run, plain_run, tables, weak_tau):
    weak_tau(0.0)
    found = explain_correction(trained_run, plain_run, utterance=tables[0][0])
    assert found.scores[BOTH] == pytest.approx(found.scores[MCM])
    assert "tau = 0 (of a test): nothing is subtracted, so the last step is the second again" in found.caption


def test_the_figure_and_its_data(trained_run, plain_run, tables, weak_tau, tmp_path):
    found = explain_correction(trained_run, plain_run)
    paths = write_correction(found, tmp_path / "new" / "correction")
    assert [path.suffix for path in paths] == [".png", ".pdf", ".json"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    told = json.loads(paths[2].read_text())
    assert told["steps"][BOTH]["predicted"] == told["true_class"] != told["steps"][PLAIN]["predicted"]
    assert [piece["text"] for piece in told["pieces"]] == [piece.text for piece in found.pieces]
    empty = dataclasses.replace(found, text="", pieces=(), debiasing="log")
    assert len(write_correction(empty, tmp_path / "empty")) == 3


@pytest.mark.parametrize("letters", [8, 13, 40])
def test_lines_hold_all_pieces_in_order_and_fit(letters):
    pieces = [Piece("un", True), Piece("##like", True), Piece("film", False), Piece("##s", False)] * 3
    lines = wrap_pieces(pieces, letters)
    words = [word for line in lines for word in line]
    shown = ["un", "like", "[MASK]", "[MASK]"] * 3
    assert [text.removeprefix("##") for _, text, _ in words] == shown
    assert [bold for *_, bold in words] == [True, True, False, False] * 3
    for line in lines:
        ends = [column + len(text) for column, text, _ in line]
        assert max(ends) <= letters
        starts = [column for column, *_ in line]
        assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))


# --- what cannot be shown ---


def test_runs_of_another_kind_or_data_are_refused(trained_run, plain_run, fresh_run, weak_tau):
    with pytest.raises(RunError, match=r"needs a run with model.maci both here .*: found none"):
        explain_correction(plain_run, plain_run)
    with pytest.raises(RunError, match=r"needs a run with model.maci none here .*: found both"):
        explain_correction(trained_run, trained_run)
    other = fresh_run("other", "model.maci=none", "data.split=ood_binary_seed0")
    with pytest.raises(RunError, match="the plain run has another split"):
        explain_correction(trained_run, other)


def test_an_unknown_utterance_is_refused(trained_run, plain_run, weak_tau):
    with pytest.raises(RunError, match="no utterance 'nobody' in the test fold"):
        explain_correction(trained_run, plain_run, utterance="nobody")


def test_nothing_corrected_is_told(trained_run, plain_run, weak_tau, monkeypatch):
    # Without the right answers of the whole method there is nothing to choose from.
    monkeypatch.setattr(module, "debiased", lambda factual, *_: -factual + 0.0)
    wrong = explain_correction(
        trained_run, plain_run, utterance=LoadedRun.open(trained_run).fold("test").ids[0]
    )
    assert wrong.utterances == 24
    monkeypatch.setattr(module, "debiased", lambda factual, *_: np.eye(3)[[1] * len(factual)])
    with pytest.raises(RunError, match="no test utterance that the plain run gets wrong and this one right"):
        explain_correction(trained_run, plain_run)
