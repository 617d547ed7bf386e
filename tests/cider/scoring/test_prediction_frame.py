import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation_builders import BINARY, IDENTITY, SEVEN

from cider.scoring.conditions import COMPLETE, Condition, SweepPlan, condition_of
from cider.scoring.prediction_frame import (
    COUNTERFACTUAL,
    EVALUATED_MEANS,
    FACTUAL,
    TRAINING_MEANS,
    Prediction,
    PredictionFolder,
    collect,
)
from mer_data.errors import DamagedRunError, RunError

VIEWS = [(FACTUAL, TRAINING_MEANS), (COUNTERFACTUAL, TRAINING_MEANS), (FACTUAL, EVALUATED_MEANS)]
PLAN = SweepPlan.from_settings("rmfm", (0.0, 0.5), (0, 1))


def prediction(seed=0, size=5, views=VIEWS, task=BINARY):
    rng = np.random.default_rng(seed)
    ids = [f"v{number}$_$1" for number in range(size)]
    return Prediction(
        ids,
        [name.split("$")[0] for name in ids],
        np.linspace(-3, 3, size),
        {view: rng.dirichlet(np.ones(task.num_classes), size=size) for view in views},
    )


@pytest.fixture
def folder(tmp_path):
    return PredictionFolder(tmp_path / "predictions", BINARY)


def write_plan(folder, identity=IDENTITY, plan=PLAN):
    for number, condition in enumerate(plan.conditions):
        for fold in ("valid", "test"):
            folder.write(condition, fold, prediction(number), identity)


# --- one table ---


@pytest.mark.parametrize("condition", [COMPLETE, condition_of("rmfm", 0.3, 2), Condition("smm", 0.0, "LA")])
def test_what_is_written_is_read(folder, condition):
    written = prediction()
    folder.write(condition, "test", written, IDENTITY)
    found, identity = folder.read(condition, "test")
    assert identity == IDENTITY
    assert (found.ids, found.videos) == (written.ids, written.videos)
    assert np.array_equal(found.labels, written.labels)
    assert list(found.views) == VIEWS
    for view in VIEWS:
        assert np.array_equal(found.views[view], written.views[view])
    assert [path.name for path in folder.path.iterdir()] == [f"{condition.name}.test.parquet"]


def test_a_table_can_be_read_by_anyone(folder):
    folder.write(condition_of("rmm", 0.5, 1), "valid", prediction(), IDENTITY)
    table = pq.read_table(folder.path / "rmm-rate0.5-mask1.valid.parquet").to_pandas()
    assert table.columns.tolist() == [
        "id", "video_id", "split", "pattern", "rate", "kept", "mask_seed", "view", "means",
        "p_negative", "p_neutral", "p_positive", "label",
    ]  # fmt: skip
    assert len(table) == 5 * len(VIEWS)
    assert table.loc[0, ["id", "video_id", "split", "pattern", "rate", "mask_seed"]].tolist() == [
        "v0$_$1", "v0", "valid", "rmm", 0.5, 1,
    ]  # fmt: skip
    assert table[["p_negative", "p_neutral", "p_positive"]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_an_empty_fold_can_be_saved(folder):
    folder.write(COMPLETE, "valid", prediction(size=0), IDENTITY)
    found, _ = folder.read(COMPLETE, "valid")
    assert found.ids == []


def test_a_missing_table_names_the_command(folder):
    message = r"no predictions of test for rmfm at missing rate 0\.3, mask seed 2 in .*`cider evaluate RUN`"
    with pytest.raises(RunError, match=message):
        folder.read(condition_of("rmfm", 0.3, 2), "test")
    with pytest.raises(RunError, match="no predictions of valid for smm, LA kept"):
        folder.read(Condition("smm", 0.0, "LA"), "valid")
    with pytest.raises(RunError, match="no predictions of valid for complete data"):
        folder.read(COMPLETE, "valid")


def rewrite(path, **changes):
    """The table without digest, and with columns replaced, or metadata where the key is ``about``."""
    table = pq.read_table(path)
    belongs = json.loads(table.schema.metadata[b"cider"])
    del belongs["digest"]
    table = table.replace_schema_metadata({b"cider": json.dumps(belongs)})
    about = changes.pop("about", None)
    for name, values in changes.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    if about is not None:
        table = table.replace_schema_metadata({b"cider": json.dumps(about)} if about else None)
    pq.write_table(table, path)


def test_damaged_tables_are_told(folder):
    folder.write(COMPLETE, "test", prediction(), IDENTITY)
    path = folder.table_path(COMPLETE, "test")
    whole = path.read_bytes()

    def refuse(match):
        with pytest.raises(RunError, match=rf"damaged predictions \({match}.*Make them again"):
            folder.read(COMPLETE, "test")
        path.write_bytes(whole)

    path.write_bytes(whole[: len(whole) // 2])
    refuse("")
    path.write_bytes(b"")
    refuse("")
    rewrite(path, about={})
    refuse("it does not say what it belongs to")
    rewrite(path, about=["cider"])
    refuse("it does not say what it belongs to")
    about = {"format": "cider/predictions", "version": "2", "condition": "complete", "fold": "test"}
    rewrite(path, about=about)
    refuse("it says cider/predictions, 2, complete, test")
    rewrite(path, view=["factual", "counterfactual"] * 7 + ["factual"])
    refuse("rows out of order")
    rewrite(path, id=[f"other{number}" for number in range(15)])
    refuse("rows out of order")
    rewrite(path, p_neutral=["many"] * 15)
    refuse("a column is missing or of another type")
    with pytest.raises(RunError, match=r"damaged predictions .a column is missing .*p_-3"):
        PredictionFolder(folder.path, SEVEN).read(COMPLETE, "test")


@pytest.mark.parametrize("column", ["id", "video_id", "view", "means", "p_neutral", "label", "rate"])
def test_a_table_that_was_changed_is_told(folder, column):
    folder.write(COMPLETE, "test", prediction(), IDENTITY)
    path = folder.table_path(COMPLETE, "test")
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[0] = values[0] + (1e-6 if isinstance(values[0], float) else "x")
    number = table.schema.get_field_index(column)
    pq.write_table(table.set_column(number, table.schema.field(number), pa.array(values)), path)
    with pytest.raises(DamagedRunError, match=r"its content is not what was predicted.*evaluate RUN --force"):
        folder.read(COMPLETE, "test")


def test_a_table_that_says_it_belongs_to_something_else_is_told(folder):
    folder.write(COMPLETE, "test", prediction(), IDENTITY)
    path = folder.table_path(COMPLETE, "test")
    table = pq.read_table(path)
    belongs = {**json.loads(table.schema.metadata[b"cider"]), "checkpoint": "sha256:other"}
    pq.write_table(table.replace_schema_metadata({b"cider": json.dumps(belongs)}), path)
    with pytest.raises(DamagedRunError, match="its content is not what was predicted"):
        folder.read(COMPLETE, "test")


def test_a_table_without_digest_is_read_of_older_runs_alone(folder):
    folder.write(COMPLETE, "test", prediction(), IDENTITY)
    rewrite(folder.table_path(COMPLETE, "test"))
    assert folder.read(COMPLETE, "test")[1] == IDENTITY
    with pytest.raises(DamagedRunError, match="its content is not what was predicted"):
        PredictionFolder(folder.path, folder.task, sealed=True).read(COMPLETE, "test")


def test_a_table_in_the_place_of_another_is_told(folder):
    folder.write(COMPLETE, "test", prediction(), IDENTITY)
    folder.table_path(COMPLETE, "test").rename(folder.table_path(COMPLETE, "valid"))
    with pytest.raises(RunError, match="it says cider/predictions, 1, complete, test"):
        folder.read(COMPLETE, "valid")


# --- a sweep ---


def of_both(identity):
    return {"valid": identity, "test": identity}


def test_a_sweep_stacks_its_conditions(folder):
    write_plan(folder)
    sweep = collect(folder, PLAN, of_both(IDENTITY))
    assert sweep.identity == IDENTITY
    assert [condition.name for condition in PLAN.conditions] == [
        "complete", "rmfm-rate0.5-mask0", "rmfm-rate0.5-mask1",
    ]  # fmt: skip
    for fold in (sweep.valid, sweep.test):
        for number in range(3):
            for view in VIEWS:
                assert np.array_equal(fold.views[view][number], prediction(number).views[view])
    factual, counterfactual = sweep.test.scores(TRAINING_MEANS)
    assert factual.shape == counterfactual.shape == (3, 5, 3)
    assert sweep.test.scores(EVALUATED_MEANS)[1] is None
    assert sweep.test.own_means == TRAINING_MEANS


@pytest.mark.parametrize("name", list(IDENTITY))
def test_tables_of_something_else_are_refused(folder, name):
    write_plan(folder)
    folder.write(PLAN.conditions[1], "test", prediction(), IDENTITY | {name: "other"})
    message = f"another {name} in .*rmfm-rate0.5-mask0.test.parquet: found other, expected {IDENTITY[name]}"
    with pytest.raises(RunError, match=message):
        collect(folder, PLAN, of_both(IDENTITY))
    # Even where nobody says what is expected, the tables of a sweep belong together.
    with pytest.raises(RunError, match=f"belong to another {name}"):
        collect(folder, PLAN, of_both({}))


def test_tables_with_other_rows_are_refused(folder):
    write_plan(folder)
    folder.write(PLAN.conditions[2], "test", prediction(size=4), IDENTITY)
    with pytest.raises(RunError, match="prediction tables of one fold differ in their rows"):
        collect(folder, PLAN, of_both(IDENTITY))
    folder.write(PLAN.conditions[2], "test", prediction(views=VIEWS[:1]), IDENTITY)
    with pytest.raises(RunError, match="prediction tables of one fold differ in their rows"):
        collect(folder, PLAN, of_both(IDENTITY))


# --- of another corpus ---

TARGET_IDENTITY = IDENTITY | {"target": "on-b.c.d", "target_store": "sha256:t"}


@pytest.fixture
def elsewhere(folder):
    return PredictionFolder(folder.path, BINARY, "on-b.c.d")


def test_tables_of_a_target_have_a_folder_and_share_validation(folder, elsewhere):
    write_plan(folder)
    for number, condition in enumerate(PLAN.conditions):
        elsewhere.write(condition, "test", prediction(10 + number), TARGET_IDENTITY)
    own = collect(folder, PLAN, of_both(IDENTITY))
    sweep = collect(elsewhere, PLAN, {"valid": IDENTITY, "test": TARGET_IDENTITY})
    view = VIEWS[0]
    assert np.array_equal(sweep.valid.views[view], own.valid.views[view])
    assert np.array_equal(sweep.test.views[view][1], prediction(11).views[view])
    assert (own.target, sweep.target) == (None, "on-b.c.d")
    assert sweep.identity == TARGET_IDENTITY
    expected = {"valid": {}, "test": {"target": "on-b.c.d"}}
    assert collect(elsewhere, PLAN, expected).identity == TARGET_IDENTITY


def test_own_and_other_tables_do_not_pass_for_each_other(folder, elsewhere):
    write_plan(folder)
    folder.write(PLAN.conditions[1], "test", prediction(), TARGET_IDENTITY)
    with pytest.raises(RunError, match=r"belong to another target in .*: found on-b\.c\.d, expected none"):
        collect(folder, PLAN, of_both(IDENTITY))
    for condition in PLAN.conditions:
        elsewhere.write(condition, "test", prediction(), IDENTITY)
    with pytest.raises(RunError, match=r"belong to another target in .*: found none, expected on-b\.c\.d"):
        collect(elsewhere, PLAN, {"valid": {}, "test": {"target": "on-b.c.d"}})


def test_the_tables_of_a_target_are_of_one_store(folder, elsewhere):
    write_plan(folder)
    for number, condition in enumerate(PLAN.conditions):
        identity = TARGET_IDENTITY | {"target_store": f"sha256:{number}"}
        elsewhere.write(condition, "test", prediction(), identity)
    with pytest.raises(RunError, match="belong to another target_store"):
        collect(elsewhere, PLAN, {"valid": {}, "test": {"target": "on-b.c.d"}})
