import pytest
import yaml

from cider.recipe.schema import Recipe, find_recipe, load_recipe, recipe_folder
from cider.scoring.metrics import metric_names
from mer_data.errors import RecipeError
from mer_data.tasks import TASKS

PACKAGED = sorted(recipe_folder().glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refuse(match, *overrides):
    with pytest.raises(RecipeError, match=match):
        load_recipe(find_recipe("sample"), overrides)


# --- packaged recipes ---


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_a_packaged_recipe_loads_and_begins_with_its_command(path):
    assert path.read_text(encoding="utf-8").splitlines()[0] == f"# cider train {path.stem}"
    assert load_recipe(path).name == path.stem
    assert find_recipe(path.stem) == path


def test_the_defaults_are_the_papers():
    recipe = Recipe.model_validate({"name": "plain", "data": {"dataset": "mosi"}})
    training = recipe.training
    assert (training.batch_size, training.max_epochs, training.patience) == (128, 200, 10)
    assert (training.learning_rate, training.encoder_learning_rate) == (1e-3, 5e-5)
    assert training.encoder_weight_decay == 1e-3
    assert (recipe.model.width, recipe.model.relu_dropout, recipe.model.residual_dropout) == (32, 0.1, 0.1)
    assert recipe.evaluation.rates == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert (recipe.missing.pattern, recipe.missing.rate) == ("rmfm", "per_utterance")
    assert recipe.selection.metric == "loss"


@pytest.mark.parametrize(
    ("maci", "label", "language"),
    [("none", False, False), ("label", True, False), ("language", False, True), ("both", True, True)],
)
def test_maci_names_the_halves_that_are_on(maci, label, language):
    model = load_recipe(find_recipe("sample"), (f"model.maci={maci}",)).model
    assert (model.debiases_label, model.debiases_language) == (label, language)


# --- finding ---


def test_a_bare_no_is_the_precision_and_not_false():
    recipe = load_recipe(find_recipe("sample"), ("training.mixed_precision=no",))
    assert recipe.training.mixed_precision == "no"


def test_a_recipe_is_found_by_name_or_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # away from a checkout, whose recipes/sample.yaml is found as a path
    for name in ("sample", "sample.yaml", "recipes/sample.yaml"):
        assert find_recipe(name) == recipe_folder() / "sample.yaml"
    path = write(tmp_path, "name: mine")
    assert find_recipe(str(path)) == path


@pytest.mark.parametrize("name", ["nope", "nope.yaml", "runs/sample", "other/sample.yaml", "sample.txt", ""])
def test_an_unknown_recipe_lists_the_known(name):
    with pytest.raises(RecipeError, match=r"no recipe .*: expected a YAML file or one of .*\bsample\b"):
        find_recipe(name)


# --- loading ---


def test_a_recipe_that_cannot_be_read_is_one_error(tmp_path):
    with pytest.raises(RecipeError, match=r"a recipe is a mapping of keys in .*mine.yaml: found list"):
        load_recipe(write(tmp_path, "- name"))
    with pytest.raises(RecipeError, match=r"a recipe is a mapping of keys .* found NoneType"):
        load_recipe(write(tmp_path, ""))
    with pytest.raises(RecipeError, match=r"cannot read the recipe \(column 14: while parsing"):
        load_recipe(write(tmp_path, "name: [sample"))
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*absent.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_unknown_keys_and_wrong_types_are_named():
    refuse(r"model\.layer: unknown key, did you mean layers\? known here: name, .*fusion", "model.layer=3")
    refuse(r"modle: unknown key, did you mean model\? known here: name, task, seed, data", "modle.layers=3")
    refuse("colour: unknown key, known here: ", "colour=red")
    refuse(r"model\.layers: Input should be a valid integer", "model.layers=many")
    refuse(r"model\.layers: Input should be greater than or equal to 1", "model.layers=0")
    refuse(r"missing\.pattern: Input should be 'rmfm', 'rmfm_same'", "missing.pattern=smm")
    refuse(
        r"selection\.metric: Input should be 'loss', 'acc2', 'f1', 'acc3' or 'acc7'", "selection.metric=f2"
    )
    refuse("data: Input should be a valid dictionary", "data=mosi")
    refuse(r"seed: Input should be greater than or equal to 0, found -1 \(--set seed=-1\)", "seed=-1")
    refuse(r"missing\.pattern: .*, did you mean rmfm\?, found 'rmfn'", "missing.pattern=rmfn")


def test_everything_wrong_is_told_at_once_and_in_one_line():
    with pytest.raises(RecipeError, match=r"wrong recipe \(.*\)\. Correct these keys\.") as info:
        load_recipe(find_recipe("sample"), ("model.layers=no", "training.batch_size=0", "colour=red"))
    for key in ("model.layers", "training.batch_size", "colour"):
        assert f"{key}: " in str(info.value)
    assert "\n" not in str(info.value)


# --- where a wrong value came from ---


def test_a_wrong_override_is_told_as_such_and_not_as_the_file_s():
    with pytest.raises(RecipeError, match=r"found 0 \(--set model\.layers=0\)") as info:
        load_recipe(find_recipe("sample"), ("model.layers=0", "training.patience=3"))
    assert "sample.yaml" not in str(info.value)
    assert "patience" not in str(info.value)


def test_a_wrong_line_of_the_file_is_told_with_its_number(tmp_path):
    path = write(tmp_path, "name: mine\ndata:\n  dataset: mosi\nmodel:\n  layers: 0\n  heads: 4\n")
    with pytest.raises(RecipeError, match=r"model\.layers: .*, found 0 \(line 5\)\) in .*mine\.yaml"):
        load_recipe(path, ("model.heads=2",))


def test_file_and_override_are_told_apart_in_one_message(tmp_path):
    path = write(tmp_path, "name: mine\ndata: {dataset: mosi}\nseed: -1\n")
    with pytest.raises(
        RecipeError, match=r"found -1 \(line 3\).*found 0 \(--set model\.heads=0\)\) in .*mine"
    ):
        load_recipe(path, ("model.heads=0",))


def test_an_override_within_a_group_is_named_where_the_group_is_wrong():
    refuse(
        r"missing: rate per_position .* \(--set missing\.rate=per_position, --set missing\.pattern=rmm\)",
        "missing.rate=per_position",
        "missing.pattern=rmm",
    )


def test_a_group_that_an_override_gives_whole_is_its_fault():
    refuse(r"loss\.alpha: unknown key, did .* \(--set loss=\{alpha: 1\}\)", "loss={alpha: 1}")


def test_overrides_of_a_published_table_are_not_called_an_option():
    with pytest.raises(RecipeError, match=r"found 0 \(model\.layers=0 of table4\)"):
        load_recipe(
            find_recipe("sample"), ("model.layers=0",), told={"model.layers=0": "model.layers=0 of table4"}
        )


# --- values that no recipe can mean ---


@pytest.mark.parametrize(
    "override",
    [
        "seed=18446744073709551616",
        "seed=4294967296",
        "model.layers=100000000",
        "model.width=100000000",
        "model.heads=1e9",
        "training.num_workers=100000",
        "training.batch_size=1000000000",
        "training.gradient_accumulation=1000000000",
        "training.max_epochs=1000000000000",
        "training.learning_rate=.inf",
        "training.learning_rate=1e400",
        "loss.beta_attention=.nan",
        "evaluation.resamples=1000000000",
        "evaluation.mask_seeds=[18446744073709551616]",
        "model.layers=true",
        "model.layers=yes",
        "model.layers=2.0",
        "training.learning_rate=true",
        "evaluation.rates=[false, true]",
        "seed=2026-13-45",
        "seed=2026-11-27T25:61:00Z",
        "seed=1:30",
    ],
)
def test_a_number_out_of_all_bounds_is_told_with_its_key(override):
    key = override.partition("=")[0]
    refuse(rf"wrong recipe \({key}[.0-9]*: .* \(--set {key}=.*\)\)\. Correct", override)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("model={name: dlf, settings: {layers: 100000000}}", "layers"),
        ("model={name: mplmm, settings: {prompt_length: 100000000}}", "prompt_length"),
        ("model={name: early_fusion, settings: {width: 100000000}}", "width"),
    ],
)
def test_settings_of_other_models_have_bounds_too(settings, key):
    refuse(rf"model\.settings\.{key}: Input should be less than or equal to", settings)


@pytest.mark.parametrize(
    "value",
    ["!!python/name:os.system x", "&a [*a]", "[" * 100, "*x", "{a: 1, a: 2}", '"\\ud800"', "9" * 5000],
)
def test_a_value_that_is_not_plain_yaml_is_told_with_its_override(value):
    refuse(r"the value of --set model\.layers=.* is not plain YAML \(", f"model.layers={value}")


def test_a_bare_word_of_older_yaml_stays_a_text():
    recipe = load_recipe(find_recipe("sample"), ("name=2026-11-27", "data.split=on"))
    assert (recipe.name, recipe.data.split) == ("2026-11-27", "on")


def test_keys_without_end_are_told():
    refuse("too many groups of keys in --set a.a.a", ".".join("a" * 5000) + "=1")


@pytest.mark.parametrize("group", ["selection", "evaluation"])
@pytest.mark.parametrize("rates", ["[]", "[0.5, 0]", "[0, 0]", "[0, 1.1]", "[-0.1]"])
def test_rates_rise_within_0_and_1(group, rates):
    refuse(rf"{group}\.rates: rates must rise and lie in \[0, 1\]", f"{group}.rates={rates}")
    refuse(rf"{group}\.rates\.1: Input should be a finite number", f"{group}.rates=[0, .nan, 1]")


# --- keys that must fit each other ---


@pytest.mark.parametrize("pattern", ["rmfm_same", "rmm", "tmfm", "stmfm"])
def test_a_rate_per_position_is_of_rmfm_only(pattern):
    load_recipe(find_recipe("sample"), ("missing.rate=per_position", "missing.pattern=rmfm"))
    load_recipe(find_recipe("sample"), ("missing.rate=per_utterance", f"missing.pattern={pattern}"))
    refuse(
        f"missing: rate per_position .*rmfm, not {pattern}",
        "missing.rate=per_position",
        f"missing.pattern={pattern}",
    )


METRICS = ("acc2", "f1", "acc3", "acc7")


@pytest.mark.parametrize("task", ["binary", "seven"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("key", ["selection.metric", "evaluation.tau_metric"])
def test_a_metric_must_be_one_of_the_task(task, metric, key):
    overrides = (f"task={task}", f"{key}={metric}")
    if metric in metric_names(TASKS[task]):
        load_recipe(find_recipe("sample"), overrides)
    else:
        refuse(rf"{key}: task {task} has no {metric}", *overrides)


def test_both_metrics_are_told_and_loss_and_none_always_go():
    overrides = ("task=seven", "selection.metric=acc2", "evaluation.tau_metric=f1")
    refuse(
        r"selection\.metric: task seven has no acc2.*evaluation\.tau_metric: task seven has no f1", *overrides
    )
    for task in TASKS:
        load_recipe(
            find_recipe("sample"), (f"task={task}", "selection.metric=loss", "evaluation.tau_metric=null")
        )


@pytest.mark.parametrize("seeds", ["[]", "[0, 0]", "[-1]", "[0.5]", "0"])
def test_mask_seeds_are_different_whole_numbers(seeds):
    refuse(r"evaluation\.mask_seeds", f"evaluation.mask_seeds={seeds}")
    recipe = load_recipe(find_recipe("sample"), ("evaluation.mask_seeds=[3, 0]",))
    assert (recipe.evaluation.mask_seeds, recipe.evaluation.mask_seed) == ((3, 0), 3)


def test_smm_is_measured_and_not_trained_with():
    assert load_recipe(find_recipe("sample"), ("evaluation.pattern=smm",)).evaluation.pattern == "smm"
    refuse(r"missing\.pattern", "missing.pattern=smm")
    refuse(
        "selection.rates: evaluation.pattern smm has no rates",
        "evaluation.pattern=smm",
        "selection.rates=[0, 0.5]",
    )


# --- overrides ---


def test_overrides_have_dotted_keys_and_yaml_values():
    recipe = load_recipe(
        find_recipe("sample"),
        (
            "model.layers=3",
            "missing.pattern=rmm",
            "selection.rates=[0, 0.5]",
            "data.split=ood",
            "data.split=null",
            "training.learning_rate=5e-4",
            "loss={alpha_reconstruction: 0.25}",
            "name=a=b",
        ),
    )
    assert recipe.model.layers == 3
    assert recipe.model.text_encoder == "tiny"  # the group keeps its other keys
    assert recipe.missing.pattern == "rmm"
    assert recipe.selection.rates == (0.0, 0.5)
    assert recipe.data.split is None
    assert recipe.training.learning_rate == 5e-4
    assert recipe.loss.alpha_reconstruction == 0.25
    assert recipe.name == "a=b"


@pytest.mark.parametrize("override", ["model.layers", "=3", ""])
def test_an_override_needs_a_key_and_a_value(override):
    refuse("not an override: found .*expected key=value", override)


def test_other_bad_overrides():
    refuse("'name' of --set name.x=1 is not a group of keys", "name.x=1")
    refuse(r"the value of --set name=\[ is not plain YAML", "name=[")
    refuse(r"model\.: unknown key", "model.=3")


# --- saving ---


def test_the_resolved_recipe_comes_back_equal(tmp_path):
    recipe = load_recipe(find_recipe("sample"), ("seed=7", "model.maci=label", "evaluation.rates=[0, 0.25]"))
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    # Resolved: values that the recipe leaves to the defaults are in the file.
    saved = yaml.safe_load((tmp_path / "recipe.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["learning_rate"] == 0.001
    assert saved["missing"] == {"pattern": "rmfm", "rate": "per_utterance"}


def test_a_loaded_recipe_does_not_change():
    recipe = load_recipe(find_recipe("sample"))
    with pytest.raises(ValueError, match="frozen"):
        recipe.model.layers = 5
