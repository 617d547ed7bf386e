import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from cider.evaluation.debiasing import TAU_GRID
from cider.evaluation.predictor import COUNTERFACTUAL, FACTUAL
from cider.evaluation.sweep import SweepScores, load_predictions, predict_sweep, score_sweep, without_nan
from cider.run_folder import RunFolder, open_run
from mer_data.errors import RunError
from mer_data.tasks import TASKS

BINARY = TASKS["binary"]
CLASSES = ["p_negative", "p_neutral", "p_positive"]
RATES = (0.0, 0.5, 1.0)


@pytest.fixture
def table(trained_run):
    return load_predictions(RunFolder(trained_run).predictions_path("rmfm", 0))


def synthetic(rates=(0.0, 1.0), margin=0.4, counterfactual=True):
    """Valid and test lean to positive; taking ``margin`` from positive makes the negative ones right.

    The debiased scores are right from tau 0.6 on, as 0.7 tau must exceed 0.4, and the weakest is chosen.
    """
    rows = []
    for split, size in (("valid", 6), ("test", 8)):
        for rate in rates:
            for number in range(size):
                label = -1.0 if number % 2 else 1.0
                negative = (0.8 - margin, 0.0, 0.8) if label < 0 else (0.0, 0.0, 2.8)
                views = {FACTUAL: negative}
                if counterfactual:
                    views[COUNTERFACTUAL] = (0.1, 0.1, 0.8)
                rows += [
                    {"id": f"{split}{number}", "split": split, "rate": rate, "view": view, "label": label}
                    | dict(zip(CLASSES, values, strict=True))
                    for view, values in views.items()
                ]
    return pd.DataFrame(rows)


# --- the table ---


def test_the_table_has_a_row_per_utterance_rate_and_view(home, trained_run, table):
    _, experiment = open_run(trained_run)
    assert table.columns.tolist() == [
        "id",
        "split",
        "pattern",
        "rate",
        "mask_seed",
        "view",
        *CLASSES,
        "label",
    ]
    assert len(table) == (12 + 24) * len(RATES) * 2
    assert not table.duplicated(["id", "rate", "view"]).any()
    assert set(table["pattern"]) == {"rmfm"}
    assert set(table["mask_seed"]) == {0}
    for fold in ("valid", "test"):
        assert set(table.loc[table["split"] == fold, "id"]) == set(experiment.split.splits[fold])
    truth = experiment.store.utterances.set_index("id")["label"]
    assert (table["label"].to_numpy() == truth.loc[table["id"]].to_numpy()).all()
    assert table[CLASSES].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(table)))


def test_a_sweep_is_repeatable_and_saved_as_returned(home, own_run, table):
    run, experiment = open_run(own_run)
    calls = []
    again = predict_sweep(
        run,
        experiment,
        pattern="rmm",
        rates=(0.0, 0.25),
        mask_seed=4,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    pd.testing.assert_frame_equal(load_predictions(run.predictions_path("rmm", 4)), again)
    # Nothing is missing at rate 0, whatever the pattern and seed.
    keys = ["id", "view"]
    first, second = (one[one["rate"] == 0].sort_values(keys)[CLASSES].to_numpy() for one in (table, again))
    assert np.array_equal(first, second)


def test_without_language_debiasing_there_is_one_view(home, make_recipe, tmp_path):
    from cider.experiment import Experiment
    from cider.training import Trainer

    experiment, run = Experiment.open(make_recipe("model.maci=label")), RunFolder(tmp_path / "run")
    run.start(experiment)
    run.save_weights(Trainer(experiment, run).model)
    result = predict_sweep(run, experiment, pattern="rmfm", rates=(0.0,), mask_seed=0)
    assert set(result["view"]) == {FACTUAL}


def test_missing_or_damaged_predictions_name_the_command(tmp_path):
    path = tmp_path / "rmfm-mask0.parquet"
    with pytest.raises(RunError, match=r"no readable predictions in .*Make them with `cider evaluate RUN`"):
        load_predictions(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(RunError, match="no readable predictions"):
        load_predictions(path)


# --- scores ---


def by_hand(part, columns):
    """acc2, f1 and acc3 of the rows of one rate from scores per class."""
    predicted, truth = columns.argmax(axis=1), np.sign(part["label"]).astype(int) + 1
    clear = truth != 1
    return {
        "acc2": sum(p == t for p, t in zip(predicted[clear], truth[clear], strict=True)) / clear.sum(),
        "f1": f1_score(truth[clear], predicted[clear], average="weighted", zero_division=0),
        "acc3": sum(p == t for p, t in zip(predicted, truth, strict=True)) / len(truth),
    }


def test_scores_are_those_of_the_tables_test_rows(table):
    result = score_sweep(table, BINARY)
    assert result.rates == RATES
    assert result.tau in TAU_GRID
    for index, rate in enumerate(RATES):
        part = (
            table[(table["split"] == "test") & (table["rate"] == rate)].set_index(["view", "id"]).sort_index()
        )
        factual, counterfactual = part.loc[FACTUAL], part.loc[COUNTERFACTUAL]
        plain = factual[CLASSES].to_numpy()
        for values, columns in (
            (result.plain, plain),
            (result.debiased, plain - result.tau * counterfactual[CLASSES].to_numpy()),
        ):
            expected = by_hand(factual, columns)
            assert {name: values[name][index] for name in expected} == pytest.approx(expected)


def test_debiasing_is_applied_with_the_tau_of_validation():
    result = score_sweep(synthetic(), BINARY)
    assert result.tau == 0.6
    assert result.plain["acc2"] == [0.5, 0.5]
    assert result.debiased["acc2"] == [1.0, 1.0]
    assert result.final is result.debiased


def test_tau_is_chosen_on_validation_rows_alone():
    table = synthetic()
    test = table["split"] == "test"
    poisoned = score_sweep(table.assign(label=table["label"].where(~test, -table["label"])), BINARY)
    assert poisoned.tau == score_sweep(table, BINARY).tau == 0.6
    assert poisoned.debiased["acc2"] == [0.0, 0.0]
    # The validation rows do decide.
    wrong = table.assign(label=table["label"].where(test, -table["label"]))
    assert score_sweep(wrong, BINARY).tau == 0.0


def test_tau_follows_its_metric():
    table = synthetic()
    assert score_sweep(table, BINARY).tau_metric == "acc2"
    assert score_sweep(table, BINARY, "acc3").tau_metric == "acc3"
    # A neutral utterance that debiasing by 0.1 or more loses: it counts for acc3, not for acc2.
    valid = table["split"] == "valid"
    lost = table[valid & (table["id"] == "valid0")].assign(label=0.0)
    many = [lost.assign(id=f"valid_neutral{n}") for n in range(20)]
    for part in many:
        part.loc[part["view"] == FACTUAL, CLASSES] = (0.0, 1.0, 0.95)
        part.loc[part["view"] == COUNTERFACTUAL, CLASSES] = (0.0, 1.0, 0.0)
    more = pd.concat([table, *many])
    assert score_sweep(more, BINARY, "acc2").tau == 0.6
    assert score_sweep(more, BINARY, "acc3").tau == 0.0


def test_the_order_of_the_rows_plays_no_part(table):
    shuffled = table.sample(frac=1, random_state=0)
    assert score_sweep(shuffled, BINARY) == score_sweep(table, BINARY)


def test_without_counterfactual_text_there_is_no_tau():
    result = score_sweep(synthetic(counterfactual=False), BINARY)
    assert (result.tau, result.debiased) == (None, None)
    assert result.final is result.plain
    assert result.to_json()["tau"] is None


def test_the_area_is_the_trapezoids():
    values = {"acc2": [0.9, 0.5, 0.2], "f1": [0.0, float("nan"), 0.0]}
    areas = {"acc2": 0.2 * (0.9 + 0.5) / 2 + 0.8 * (0.5 + 0.2) / 2, "f1": float("nan")}
    result = SweepScores((0.0, 0.2, 1.0), None, "acc2", values, None)
    assert result.areas(values) == pytest.approx(areas, nan_ok=True)
    assert result.to_json()["auilc"]["acc2"] == pytest.approx(areas["acc2"])
    # With counterfactual text the reported area is the debiased scores'.
    result = SweepScores((0.0, 0.2, 1.0), 0.5, "acc2", values, {"acc2": [1.0, 1.0, 1.0]})
    assert result.to_json()["auilc"] == {"acc2": pytest.approx(1.0)}


def test_a_single_rate_has_scores_but_no_area():
    result = score_sweep(synthetic(rates=(0.5,)), BINARY)
    assert result.rates == (0.5,)
    assert result.tau == 0.6
    assert result.debiased["acc2"] == [1.0]
    assert all(np.isnan(area) for area in result.areas(result.final).values())
    assert result.to_json()["auilc"] is None


def test_nan_becomes_null_at_any_depth():
    spread = {"acc2": {"rate_0.0": (0.5, float("nan"))}, "rates": [float("nan"), 1.0]}
    assert without_nan(spread) == {"acc2": {"rate_0.0": [0.5, None]}, "rates": [None, 1.0]}
