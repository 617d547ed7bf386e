"""Damage to the files of a finished run is found by whoever reads them."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_helpers import make_trainer

from cider.evaluation.evaluate import EvaluationOverrides, compare_evaluated, evaluate_run
from cider.figures import explain_debiasing
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.runs import state
from cider.runs.folder import RunFolder
from cider.runs.state import check_file, read_result, seal
from cider.training.many_runs import resume_run
from mer_data.errors import DamagedRunError, RunError

pytestmark = pytest.mark.usefixtures("quick_figures")
WEIGHTS = "checkpoints/best.safetensors"


@pytest.fixture(autouse=True)
def _nothing_told_yet(monkeypatch):
    monkeypatch.setattr(state, "_warned", set())


def zero(path, start=0.3, share=0.2):
    """Write zeros over a part of a file; another link to it stays as it is."""
    content = bytearray(path.read_bytes())
    path.unlink()
    first, size = int(start * len(content)), max(1, int(share * len(content)))
    content[first : first + size] = bytes(size)
    path.write_bytes(bytes(content))


READERS = {
    "predict": lambda run: SentimentPredictor.load(run),
    "evaluate": lambda run: evaluate_run(run),
    "evaluate again": lambda run: evaluate_run(run, force=True),
    "report": lambda run: evaluate_run(run, report_only=True),
    "figure": lambda run: explain_debiasing(run, rate=0.0),
    "compare": lambda run: compare_evaluated([run, run]),
}


@pytest.mark.parametrize("reader", READERS)
def test_damaged_weights_are_found(home, own_run, reader):
    zero(own_run / WEIGHTS)
    with pytest.raises(DamagedRunError, match=r"the file is not as training left it in .*best\.safetensors"):
        READERS[reader](own_run)


@pytest.mark.parametrize("reader", ["evaluate", "report", "compare"])
def test_changed_predictions_are_found(home, own_run, reader):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = own_run / "predictions" / "complete.test.parquet"
    table = pq.read_table(path)
    swapped = [table["p_positive"], table["p_negative"]]
    for name, values in zip(("p_negative", "p_positive"), swapped, strict=True):
        number = table.schema.get_field_index(name)
        table = table.set_column(number, name, pa.chunked_array(values))
    pq.write_table(table, path)
    with pytest.raises(DamagedRunError, match=r"content is not what was predicted.*complete\.test\.parquet"):
        READERS[reader](own_run)


def test_damaged_predictions_do_not_choose_tau_in_silence(home, own_run):
    zero(own_run / "predictions" / "complete.valid.parquet")
    with pytest.raises(DamagedRunError, match="damaged predictions"):
        SentimentPredictor.load(own_run)


@pytest.mark.parametrize("reader", ["evaluate", "report"])
@pytest.mark.parametrize("name", ["result.json", "digests.json", "provenance.json"])
def test_a_changed_result_is_found(home, own_run, reader, name):
    path = own_run / name
    content = json.loads(path.read_text(encoding="utf-8"))
    key = {"result.json": "best_epoch", "digests.json": "files", "provenance.json": "threads"}[name]
    content[key] = {**content[key], WEIGHTS: "sha256:0"} if name == "digests.json" else 99
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DamagedRunError, match=r"not as training left it|digests of the run were changed"):
        READERS[reader](own_run)


@pytest.mark.parametrize("name", ["model.json", "tokenizer.json"])
def test_a_changed_card_is_found(own_run, name):
    path = own_run / name
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(DamagedRunError, match=rf"not as training left it in .*{name}"):
        SentimentPredictor.load(own_run, tau=0.0)


def test_weights_of_another_run_of_the_same_shape_are_found(home, own_run, make_recipe, tmp_path):
    trainer, _, other = make_trainer(make_recipe("seed=5"), tmp_path / "other")
    other.save_weights(trainer.model)
    (own_run / WEIGHTS).write_bytes(other.checkpoint_path.read_bytes())
    with pytest.raises(DamagedRunError, match="not as training left it"):
        SentimentPredictor.load(own_run)


def test_a_run_from_before_there_were_digests_is_read_with_one_line(home, own_run, caplog):
    before = SentimentPredictor.load(own_run).tau
    (own_run / "digests.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert SentimentPredictor.load(own_run).tau == before
        evaluate_run(own_run)
        evaluate_run(own_run, report_only=True)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"Warning: {own_run} was trained before runs had digests: damage to its files is not found."
    ]


def test_a_whole_run_tells_nothing(home, own_run, caplog):
    evaluate_run(own_run)
    SentimentPredictor.load(own_run)
    assert caplog.records == []


# --- unfinished runs ---


@pytest.fixture
def unfinished(home, make_recipe, tmp_path):
    """A training that stopped after its first epoch of three."""

    def stop(record):
        raise ValueError("enough")

    trainer, _, run = make_trainer(make_recipe("training.max_epochs=3"), tmp_path / "unfinished")
    with pytest.raises(ValueError, match="enough"):
        trainer.fit(on_epoch=stop)
    return run.path


@pytest.mark.parametrize("reader", ["evaluate", "predict", "figure"])
def test_what_is_read_of_an_unfinished_run_is_told(unfinished, reader, caplog):
    if reader == "predict":
        from cider.prediction.model_card import save_model_card
        from cider.runs.folder import open_run

        run, experiment = open_run(unfinished)
        save_model_card(run, experiment, experiment.build_model())
    READERS[reader](unfinished)
    told = (
        f"Warning: {unfinished} holds a training that has not finished, stopped after epoch 1; continue it"
        f" with `cider train --resume {unfinished}`."
    )
    assert told in [record.getMessage() for record in caplog.records]


def test_damaged_weights_of_an_unfinished_run_are_found_and_mended_by_resuming(unfinished):
    zero(unfinished / WEIGHTS)
    with pytest.raises(
        DamagedRunError, match=r"in none of its checkpoints .*Continue it with `cider train --res"
    ):
        evaluate_run(unfinished)
    resume_run(unfinished, lambda line: None)
    evaluate_run(unfinished, EvaluationOverrides(rates=(0.0,)))


# --- the files themselves ---


@given(values=st.dictionaries(st.text(), st.integers() | st.text() | st.floats(-9, 9), max_size=4))
def test_a_result_comes_back(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("run")
    (folder / "recipe.yaml").write_text("name: a", encoding="utf-8")
    seal(folder, values)
    assert read_result(folder) == values
    check_file(folder, "recipe.yaml")


@given(
    place=st.integers(0, 10_000), bit=st.integers(0, 7), name=st.sampled_from(["result.json", "recipe.yaml"])
)
def test_no_changed_bit_passes(tmp_path_factory, place, bit, name):
    folder = tmp_path_factory.mktemp("run")
    (folder / "recipe.yaml").write_text("name: a\nseed: 1111\n", encoding="utf-8")
    seal(folder, {"best_epoch": 3, "best_score": -0.5})
    content = bytearray((folder / name).read_bytes())
    content[place % len(content)] ^= 1 << bit
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(DamagedRunError):
        check_file(folder, name)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1}', "null"])
def test_damaged_digests_are_told(own_run, content):
    (own_run / "digests.json").write_text(content, encoding="utf-8")
    with pytest.raises(DamagedRunError, match=r"damaged digests in .*digests\.json"):
        read_result(own_run)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_result_of_an_older_run_is_told(own_run, content):
    (own_run / "digests.json").unlink()
    (own_run / "result.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged result in .*result\.json"):
        resume_run(own_run, lambda line: None)


def test_a_training_killed_before_its_result_has_not_finished(home, own_run):
    (own_run / "result.json").unlink()
    assert read_result(own_run) is None
    assert RunFolder(own_run).weights_digest().startswith("sha256:")
