import pytest
from reproduction_tables import write_tables

from cider.paper.plan import make_plan, suffix, sweep_of
from cider.paper.tables import SWEEP, find_table, known_tables, load_table
from cider.prediction.target import Target
from cider.recipe.schema import find_recipe, load_recipe
from mer_data.errors import RecipeError


def names(plan):
    return [one.run.name for one in plan.planned]


def test_table_4_of_one_corpus_needs_four_runs_of_every_model():
    plan = make_plan(load_table("table4"), datasets=["mosi"], seeds=[1111])
    settings = ["mosi_iid_binary", "mosi_iid_seven", "mosi_ood_binary", "mosi_ood_seven"]
    models = ["", "-dlf", "-dlf_maci", "-mplmm", "-mplmm_maci"]
    assert sorted(names(plan)) == sorted(f"{setting}{model}" for setting in settings for model in models)


def test_table_4_of_one_corpus_needs_four_runs_of_cider_and_their_sweeps():
    plan = make_plan(load_table("table4"), datasets=["mosi"], rows=["CIDer"], seeds=[1111])
    assert names(plan) == ["mosi_iid_binary", "mosi_iid_seven", "mosi_ood_binary", "mosi_ood_seven"]
    assert {column.setting.trained_on for column in plan.columns} == {"mosi"}
    rates = [[sweep.choices.rates for sweep in one.sweeps] for one in plan.planned]
    assert rates == [[SWEEP], [SWEEP], [(0.0,), SWEEP], [(0.0,), SWEEP]]
    assert not any(one.costs for one in plan.planned)


def test_overrides_go_into_every_run_and_its_name():
    plan = make_plan(
        load_table("table5"),
        overrides=["training.patience=5", "model.text_encoder=minilm"],
        seeds=[1111, 1112],
    )
    end = "-text_encoder_minilm-patience_5"
    assert f"mosi_ood_binary{end}" in names(plan)
    assert f"mosi_ood_seven-without_l_recon{end}" in names(plan)
    assert all(name.endswith(end) for name in names(plan))
    first = plan.planned[0]
    by_hand = load_recipe(
        find_recipe("mosi_ood_binary"),
        ("model.text_encoder=minilm", "training.patience=5", f"name=mosi_ood_binary{end}", "seed=1112"),
    )
    assert first.recipes[1] == by_hand


def test_order_of_overrides_does_not_matter(tables):
    overrides = ["model.layers=3", "loss.alpha_reconstruction=0.4"]
    table = load_table("table1", tables)
    assert make_plan(table, overrides=overrides, seeds=[1]) == make_plan(
        table, overrides=overrides[::-1], seeds=[1]
    )


def test_suffix_names_the_last_part_of_a_key_and_the_value():
    assert suffix(["model.text_encoder=minilm"]) == "-text_encoder_minilm"
    assert suffix(["model.layers=3", "loss.gamma_joint=0.25"]) == "-layers_3-gamma_joint_0_25"
    assert suffix([]) == ""


@pytest.mark.parametrize("name", known_tables())
def test_every_packaged_table_can_be_planned(name):
    table = load_table(name)
    plan = make_plan(table, seeds=[1])
    assert plan.planned
    for column in plan.columns:
        sweep = sweep_of(column)
        assert (sweep is None) == (table.content.kind == "complexity")
        if isinstance(column.place, float):
            assert column.place in sweep.choices.rates
        crosses = column.setting.tested_on != column.setting.trained_on
        assert crosses == (name in ("table7", "table12", "table19", "table20"))
        if sweep is not None:
            target = Target(column.setting.tested_on, "aligned", "standard")
            assert sweep.on == (target if crosses else None)


def test_rows_can_be_chosen(tables):
    table = load_table("table1", tables)
    assert names(make_plan(table, rows=["without MCM"], seeds=[1])) == [
        "tiny_binary-without_mcm",
        "tiny_seven-without_mcm",
    ]
    assert names(make_plan(table, rows=["CIDer"], overrides=["model.maci=label"], seeds=[1])) == [
        "tiny_binary-maci_label",
        "tiny_seven-maci_label",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": ["BERT"]}, "no row 'BERT' in table1: expected LNLN, CIDer, without MCM, without WSAM"),
        ({"rows": ["LNLN"]}, r"'LNLN' is published only.*table1: expected CIDer, without MCM\."),
        ({"rows": ["without WSAM"]}, "'without WSAM' is published only"),
        ({"datasets": ["mosi"]}, "no column of table1 for dataset mosi: expected sample"),
        ({"datasets": ["sample", "mosi"]}, "no column of table1 for dataset mosi: expected sample"),
        ({"overrides": ["model.maci=none"]}, "--set model.maci would undo what makes row 'without MCM'"),
        ({"overrides": ["model={maci: none}"]}, "--set model would undo what makes row 'without MCM'"),
        ({"overrides": ["data.split=other"]}, "--set data.split is not possible here"),
        ({"overrides": ["name=mine"]}, "--set name is not possible here"),
        ({"overrides": ["seed=3"]}, "--set seed is not possible here.* --seeds"),
        ({"overrides": ["model.layers=1", "model.layers=2"]}, "found key model.layers twice"),
    ],
)
def test_what_does_not_fit_the_table_is_one_line(tables, arguments, message):
    with pytest.raises(RecipeError, match=message) as info:
        make_plan(load_table("table1", tables), seeds=[1], **arguments)
    assert "\n" not in str(info.value)


def test_a_wrong_override_is_told_when_recipes_are_made(tables):
    plan = make_plan(load_table("table1", tables), overrides=["model.layer=3"], seeds=[1])
    with pytest.raises(RecipeError, match=r"model\.layer: unknown key, did you mean layers"):
        _ = plan.planned


def test_floor_models_are_rows_on_demand(tables):
    table = load_table("table1", tables)
    assert not table.floors
    every = make_plan(table, floors=True, seeds=[1])
    assert [row.name for row in every.table.rows] == ["LNLN", "CIDer", "without MCM", "without WSAM", "plain"]
    assert [row.name for row in every.rows] == ["CIDer", "without MCM", "plain"]
    some = make_plan(table, rows=["CIDer"], floors=True, seeds=[1])
    assert [row.name for row in some.rows] == ["CIDer", "plain"]
    assert names(some) == ["tiny_binary", "tiny_seven", "tiny_binary-plain", "tiny_seven-plain"]
    named = make_plan(table, rows=["CIDer", "plain"], floors=True, seeds=[1])
    assert named == some
    with pytest.raises(RecipeError, match="no row 'plain' in table1"):
        make_plan(table, rows=["plain"], seeds=[1])
    assert table.with_floors().with_floors() == table.with_floors()


def test_tables_without_floor_models_say_so(tmp_path):
    shared = write_tables(tmp_path) / "shared.yaml"
    shared.write_text(
        shared.read_text(encoding="utf-8").replace("floor: true", "floor: false"), encoding="utf-8"
    )
    with pytest.raises(
        RecipeError, match=r"no floor models in .*shared\.yaml: expected methods with floor: true"
    ):
        make_plan(load_table("table1", tmp_path), floors=True, seeds=[1])


def test_packaged_floor_models_are_a_text_only_and_an_early_fusion_one_with_and_without_maci():
    plan = make_plan(load_table("table4"), datasets=["mosi"], task="binary", floors=True, seeds=[1])
    models = [
        (row.name, recipe.model.name, recipe.model.maci)
        for row in plan.table.floors
        for run in plan.runs(row, plan.columns[0])
        for one in plan.planned
        if one.run == run
        for recipe in one.recipes
    ]
    assert models == [
        ("text only", "text_only", "none"),
        ("text only+MACI", "text_only", "both"),
        ("early fusion", "early_fusion", "none"),
        ("early fusion+MACI", "early_fusion", "both"),
    ]


def test_columns_of_one_task_need_no_run_of_the_other(tables):
    table = load_table("table1", tables)
    seven = make_plan(table, task="seven", seeds=[1])
    assert [column.metric for column in seven.columns] == ["acc7"]
    assert names(seven) == ["tiny_seven", "tiny_seven-without_mcm"]
    binary = make_plan(table, task="binary", seeds=[1])
    assert {column.metric for column in binary.columns} == {"acc2"}
    assert names(binary) == ["tiny_binary", "tiny_binary-without_mcm"]
    for name, task in (("table2", "seven"), ("table3", "binary")):
        with pytest.raises(
            RecipeError, match=f"no column of {name} is of task {task} alone. Leave out --task"
        ):
            make_plan(load_table(name, tables), task=task, seeds=[1])


def test_another_corpus_to_test_on_is_named_beside_that_of_training(tables):
    with pytest.raises(RecipeError, match="expected sample and second together"):
        make_plan(load_table("table4", tables), datasets=["sample"], seeds=[1])


def test_a_table_is_found_by_name_or_file(tables):
    assert find_table(str(tables / "table2.yaml")) == load_table("table2", tables)
    assert find_table("table4").content.number == "IV"
    with pytest.raises(RecipeError, match="no table 'table99': expected one of table4"):
        find_table("table99")
