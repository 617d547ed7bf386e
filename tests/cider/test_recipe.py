import pytest
import yaml

from cider.evaluation.metrics import metric_names
from cider.recipe import Recipe, find_recipe, load_recipe, recipe_folder
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
    with pytest.raises(RecipeError, match=r"cannot read the recipe \(while parsing"):
        load_recipe(write(tmp_path, "name: [sample"))
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*absent.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_unknown_keys_and_wrong_types_are_named():
    refuse(r"model\.layer: Extra inputs are not permitted", "model.layer=3")
    refuse("modle: Extra inputs", "modle.layers=3")
    refuse(r"model\.layers: Input should be a valid integer", "model.layers=many")
    refuse(r"model\.layers: Input should be greater than or equal to 1", "model.layers=0")
    refuse(r"missing\.pattern: Input should be 'rmfm', 'rmfm_same'", "missing.pattern=smm")
    refuse(
        r"selection\.metric: Input should be 'loss', 'acc2', 'f1', 'acc3' or 'acc7'", "selection.metric=f2"
    )
    refuse("data: Input should be a valid dictionary", "data=mosi")
    refuse(r"seed: Input should be greater than or equal to 0\)", "seed=-1")


def test_everything_wrong_is_told_at_once_and_in_one_line():
    with pytest.raises(
        RecipeError, match=r"wrong recipe \(.*\) in .*sample.yaml\. Correct these keys\."
    ) as info:
        load_recipe(find_recipe("sample"), ("model.layers=no", "training.batch_size=0", "colour=red"))
    for key in ("model.layers", "training.batch_size", "colour"):
        assert f"{key}: " in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("group", ["selection", "evaluation"])
@pytest.mark.parametrize("rates", ["[]", "[0.5, 0]", "[0, 0]", "[0, 1.1]", "[-0.1]", "[0, .nan, 1]"])
def test_rates_rise_within_0_and_1(group, rates):
    refuse(rf"{group}\.rates: rates must rise and lie in \[0, 1\]", f"{group}.rates={rates}")


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
    refuse("'name' of override 'name.x=1' is not a group of keys", "name.x=1")
    refuse(r"the value of an override is not YAML: found 'name=\['", "name=[")
    refuse(r"model\.: Extra inputs", "model.=3")


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
