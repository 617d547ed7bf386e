import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

from cider.paper.tables import known_tables, load_table, tables_folder
from cider.recipe.schema import find_recipe, load_recipe, recipe_folder
from cider.scoring.metrics import auilc
from mer_data.errors import RecipeError

NAMES = [f"table{number}" for number in range(4, 23)]
TABLES = {name: load_table(name) for name in NAMES}
PER_RATE = [name for name in NAMES if TABLES[name].content.kind == "per_rate"]
ALL_RUNS = [
    (name, row, column, run)
    for name, table in TABLES.items()
    for row in table.rows
    for column in table.columns
    for run in table.runs(row, column)
]


# --- the files ---


def test_all_tables_are_known_in_the_papers_order():
    assert known_tables() == NAMES
    numbers = " ".join(TABLES[name].content.number for name in NAMES)
    assert numbers == "IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX XXI XXII"
    assert {table.shared.source.arxiv for table in TABLES.values()} == {"2506.10452"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_begins_with_its_command_and_is_complete(name):
    table = TABLES[name]
    lines = (tables_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# cider reproduce {name}"
    assert sum("values: [" in line for line in lines) == len(table.rows)  # one row, one line
    frame = table.frame()
    assert frame.shape == (len(table.rows), len(table.columns))
    # A value is missing only where the paper prints a dash, and the notes say so.
    assert frame.isna().any(axis=None) == any("dash" in note for note in table.content.notes)
    for column in table.columns:
        values = frame[column.key].dropna()
        assert values.between(0, 100).all() or column.unit != "percent"
        assert (column.unit == "percent") == (column.metric in ("acc2", "f1", "acc7"))


def test_every_shared_setting_and_method_is_used():
    shared = TABLES["table4"].shared
    groups = chain.from_iterable(table.content.columns for table in TABLES.values())
    assert {group.setting for group in groups} == set(shared.settings)
    rows = chain.from_iterable(table.rows for table in TABLES.values())
    published = {name for name, method in shared.methods.items() if not method.floor}
    assert {row.method for row in rows} == published


def test_tables_are_no_recipes_to_train():
    assert not [path for path in recipe_folder().glob("*.yaml") if path.stem in ("shared", *NAMES)]
    for name in ("table4", "shared", "tables/table4"):
        with pytest.raises(RecipeError, match=rf"no recipe '{name}': expected (?!.*table)"):
            find_recipe(name)


def test_loading_needs_no_heavy_library():
    code = (
        "import sys, cider.paper.tables as t; t.load_table('table4');"
        " print({'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- areas over missing rates ---

# Differences above 0.05, of printed values: only the rounding of the rates' own values can explain more.
WIDE = {("table16", "f1"), ("table17", "acc7"), ("table18", "acc7"), ("table22", "acc7")}


def test_table_4_is_the_area_of_table_13_with_table_10():
    # Typed in from the paper: CIDer, Acc2, complete data and rates 0.1 to 1.0.
    values = [86.4, 83.8, 81.7, 80.6, 76.7, 73.2, 70.1, 65.9, 60.2, 56.6, 57.8]
    series = TABLES["table13"].series("acc2")
    assert series["CIDer"].tolist() == values
    assert series.index.tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    area = auilc(series.index, series["CIDer"])
    assert area == pytest.approx((sum(values) - (86.4 + 57.8) / 2) / 10)
    assert round(area, 1) == 72.1 == TABLES["table4"].value("CIDer", "mosi_rmfm_iid_acc2")


@pytest.mark.parametrize("name", PER_RATE)
@pytest.mark.parametrize("metric", ["acc2", "f1", "acc7"])
def test_every_published_area_agrees_with_the_published_rates(name, metric):
    series, areas = TABLES[name].series(metric), TABLES[name].areas(metric)
    assert list(areas) == list(series) == [row.name for row in TABLES[name].rows]
    differences = {row: abs(auilc(series.index, series[row]) - areas[row]) for row in series}
    assert max(differences.values()) < 0.1 + 1e-9  # half a unit of the values and half a unit of the area
    wide = [row for row, difference in differences.items() if difference > 0.05 + 1e-9]
    assert wide == (["CIDer"] if (name, metric) in WIDE else [])
    notes = " ".join(TABLES[name].content.notes)
    assert f"all {3 * len(series.columns)} areas" in notes
    if wide:
        assert f"{metric.capitalize()} of CIDer, {differences['CIDer']:.3f}" in notes


def test_an_area_over_another_range_or_without_its_complete_value_would_not_agree():
    series, areas = TABLES["table13"].series("acc2"), TABLES["table13"].areas("acc2")
    for shorter in (series.loc[:0.9], series.loc[0.1:]):
        width = shorter.index[-1] - shorter.index[0]
        wrong = [abs(auilc(shorter.index, shorter[row]) / width - areas[row]) for row in shorter]
        assert min(wrong) > 0.1


def test_rate_zero_of_a_method_with_a_row_per_pattern_is_of_that_pattern():
    for name, value in (("table13", 75.9), ("table15", 66.8), ("table16", 79.0), ("table21", 72.9)):
        assert TABLES[name].series("acc2")["MPLMM"].loc[0.0] == value


# --- the runs of ours ---


def _pattern(table, row):
    """The missing pattern of training that a row is of."""
    patterns = {column.pattern for column in table.columns} - {None}
    return row.trained_on or (patterns.pop() if len(patterns) == 1 else "rmfm")


@pytest.mark.parametrize("name", NAMES)
def test_models_of_ours_have_runs_and_other_methods_are_published_only(name):
    table = TABLES[name]
    ours = {row.name for row in table.rows for column in table.columns if table.runs(row, column)}
    models = ("CIDer", "DLF", "DLF+MACI", "MPLMM", "MPLMM+MACI")
    # MPLMM is trained on RMFM alone: rows of another pattern are the paper's.
    assert ours == {
        row.name
        for row in table.rows
        if row.method in models and not (row.method == "MPLMM" and _pattern(table, row) != "rmfm")
    }
    for column in table.columns:
        tasks = [run.task for run in table.runs(table.row("CIDer"), column)]
        expected = {"acc2": ["binary"], "f1": ["binary"], "acc7": ["seven"]}
        assert tasks == expected.get(column.metric, ["binary", "seven"])


def test_every_run_is_a_recipe_that_trains_for_its_column():
    by_name = {}
    for name, row, column, run in ALL_RUNS:
        assert by_name.setdefault(run.name, run) == run, name
        if by_name[run.name] is not run:
            continue
        recipe = load_recipe(find_recipe(run.recipe), run.overrides)
        setting = column.setting
        assert (recipe.name, recipe.task) == (run.name, run.task)
        assert (recipe.data.dataset, recipe.data.alignment) == (setting.trained_on, setting.alignment)
        assert recipe.data.split.startswith("ood_" if setting.distribution == "ood" else "standard")
        assert recipe.missing.pattern == ("none" if row.method.startswith("DLF") else "rmfm")
        if row.name == row.method:
            assert recipe.model.maci == ("none" if row.method in ("DLF", "MPLMM") else "both")
            assert recipe.model.name == row.method.removesuffix("+MACI").lower()
    assert {run.name for _, row, _, run in ALL_RUNS if row.overrides} == {
        f"mosi_ood_{task}-without_{part}"
        for task in ("binary", "seven")
        for part in (
            *("l_recon", "l_attn", "l_joint", "mssd"),
            *("mcm", "counterfactual_text", "maci"),
            *("wsam", "mct"),
        )
    }


def test_equal_training_has_one_name():
    training = {}
    for _, _, _, run in ALL_RUNS:
        setting = (run.recipe, *(one for one in run.overrides if not one.startswith("name=")))
        training.setdefault(setting, set()).add(run.name)
    twice = [names for names in training.values() if len(names) > 1]
    # The stores of the cross-dataset settings have other columns than the aligned stores.
    assert twice == [
        {f"{dataset}_aligned_{task}", f"{dataset}_common_{task}"}
        for dataset in ("mosi", "mosei")
        for task in ("binary", "seven")
    ]


def test_an_ablation_switches_off_what_its_label_says():
    table = TABLES["table5"]
    column = table.column("mosi_rmfm_ood_acc2")
    switched = {}
    for row in table.rows:
        for run in table.runs(row, column):
            recipe = load_recipe(find_recipe(run.recipe), run.overrides)
            loss = recipe.loss
            model = recipe.model
            parts = {
                "recon": loss.alpha_reconstruction > 0,
                "attn": loss.beta_attention > 0,
                "joint": loss.gamma_joint > 0,
                "mcm": model.debiases_label,
                "text": model.debiases_language,
                "wsam": model.word_alignment,
                "mct": model.fusion == "composite",
            }
            switched[row.name] = {part for part, there in parts.items() if not there}
    assert switched == {
        "CIDer": set(),
        "without L_recon": {"recon"},
        "without L_attn": {"attn"},
        "without L_joint": {"joint"},
        "without MSSD": {"recon", "attn", "joint"},
        "without MCM": {"mcm"},
        "without counterfactual text": {"text"},
        "without MACI": {"mcm", "text"},
        "without WSAM": {"wsam"},
        "without MCT": {"mct"},
    }


def test_where_columns_are_measured():
    area = TABLES["table4"].column("mosei_rmfm_ood_acc7")
    assert (area.pattern, area.place, area.rates) == ("rmfm", "auilc", tuple(n / 10 for n in range(11)))
    assert (area.tasks, area.unit, area.setting.distribution) == (("seven",), "percent", "ood")
    assert TABLES["table4"].column("mosi_ood_acc2").rates == (0.0,)
    assert TABLES["table22"].column("mosi_stmfm_0.3_f1").rates == (0.3,)
    kept = TABLES["table9"].column("mosi_smm_LV_f1")
    assert (kept.pattern, kept.place, kept.rates) == ("smm", "LV", ())
    cost = TABLES["table6"].column("training_epoch_time")
    assert (cost.tasks, cost.rates, cost.unit) == (("binary", "seven"), (), "s/epoch")


# --- bad input ---


@pytest.fixture
def folder(tmp_path):
    """A copy of the packaged tables, to be changed."""
    return Path(shutil.copytree(tables_folder(), tmp_path / "tables"))


def change(path, edit):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.mark.parametrize("name", ["table3", "table23", "4", "IV", "", "shared", "../table4", "Table4"])
def test_an_unknown_table_lists_the_known(name):
    with pytest.raises(
        RecipeError, match=rf"no table '{name}': expected one of table4, .*, table10, .*table22"
    ):
        load_table(name)


def test_unknown_rows_and_columns_list_the_known():
    table = TABLES["table6"]
    with pytest.raises(RecipeError, match=r"no row 'BERT' in table6: expected DMD, .*CIDer"):
        table.value("BERT", "training_parameters")
    with pytest.raises(RecipeError, match=r"no column 'acc2' in table6: expected training_parameters, "):
        table.value("CIDer", "acc2")
    with pytest.raises(RecipeError, match="not a table of single missing rates: found table6"):
        table.series("acc2")
    with pytest.raises(RecipeError, match="no column 'mosi_rmfm_iid_parameters' in table4"):
        TABLES["table13"].areas("parameters")


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda t: t["rows"][1]["values"].pop(), "GLoMo has 2 values for 3 columns"),
        (lambda t: t["rows"].append(t["rows"][0]), "two of row DMD"),
        (lambda t: t["columns"].append(t["columns"][0]), "two of column training_epoch_time"),
        (lambda t: t["rows"][0].update(method="BERT"), "unknown method BERT"),
        (lambda t: t["columns"][0].update(setting="moon"), "unknown setting moon"),
        (lambda t: t["columns"][0].update(pattern="rmfm"), "columns.0: .*a pattern goes with a rate"),
        (lambda t: t["columns"][0].update(at="auilc"), "columns.0: .*a pattern goes with a rate"),
        (lambda t: t["columns"][0].update(at=["L"], pattern="rmm"), "pattern smm goes with a list of kept"),
        (lambda t: t["columns"][0].update(at=[0.5], pattern="smm"), "pattern smm goes with a list of kept"),
        (lambda t: t["columns"][0].update(at=[], pattern="smm"), "columns.0.at"),
        (lambda t: t["columns"][0].update(at=[0.5, 0.1], pattern="rmm"), "rates must rise"),
        (lambda t: t["columns"][0]["metrics"].update(speed="count"), "columns.0.metrics.speed"),
        (
            lambda t: t["rows"][0]["values"].__setitem__(0, -1.0),
            "rows.0.values.0: .*greater than or equal to 0",
        ),
        (lambda t: t["rows"][0]["values"].__setitem__(0, float("nan")), "rows.0.values.0"),
        (lambda t: t.update(kind="per_rate"), "a per-rate table, and no other"),
        (lambda t: t.update(area={"table": "table4", "group": "x"}), "a per-rate table, and no other"),
        (lambda t: t.update(colour="red"), "colour: unknown key, .* known here: number, kind"),
    ],
)
def test_a_wrong_table_is_one_line(folder, edit, match):
    change(folder / "table6.yaml", edit)
    with pytest.raises(RecipeError, match=rf"wrong table \(.*{match}.*\) in .*table6\.yaml") as info:
        load_table("table6", folder)
    assert "\n" not in str(info.value)


def test_files_that_cannot_be_read(folder):
    (folder / "table6.yaml").write_text("rows: [", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"cannot read the table \(.*\) in .*table6\.yaml"):
        load_table("table6", folder)
    change(folder / "table13.yaml", lambda t: t["area"].update(table="table99"))
    with pytest.raises(RecipeError, match="no table 'table99'"):
        load_table("table13", folder).areas("f1")
    change(folder / "shared.yaml", lambda s: s["methods"].pop("LNLN"))
    with pytest.raises(RecipeError, match=r"wrong table \(unknown method LNLN\) in .*table4"):
        load_table("table4", folder)
    (folder / "shared.yaml").unlink()
    with pytest.raises(RecipeError, match=r"cannot read the table \(.*shared\.yaml"):
        load_table("table4", folder)
    with pytest.raises(RecipeError, match="no table 'table4': expected one of none"):
        load_table("table4", folder / "empty")
