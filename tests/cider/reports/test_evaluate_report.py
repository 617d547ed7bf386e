import json

import pytest
from evaluation_builders import PLAN, SEVEN, facts, measured, random_sweep

from cider.reports.evaluate import write_report
from cider.reports.tables import METRIC_TITLES
from cider.scoring.conditions import SweepPlan
from cider.scoring.prediction_frame import COUNTERFACTUAL, EVALUATED_MEANS, FACTUAL, TRAINING_MEANS

CHARTS = ["scores_by_rate", "protocols_by_rate", "confusion"]
RESULT = {"best_epoch": 7, "best_score": -0.5, "epochs": 17, "reason": "patience"}


def write(tmp_path, sweep, recipe, result=RESULT):
    folder = tmp_path / "reports" / "rmm-mask3"
    return folder, write_report(folder, facts(recipe, result), sweep)


def pages(folder):
    """The Markdown page without escapes, and the HTML page."""
    markdown = (folder / "summary.md").read_text(encoding="utf-8")
    return markdown.replace("\\", ""), (folder / "summary.html").read_text(encoding="utf-8")


def debiased_sweep(plan=PLAN, **options):
    """Random predictions for which validation chooses a tau above 0."""
    sweeps = (measured(random_sweep(plan, seed=seed, size=40, **options)) for seed in range(50))
    return next(one for one in sweeps if one.scores.tau)


def test_the_report_is_whole(make_recipe, tmp_path):
    sweep = debiased_sweep()
    folder, paths = write(tmp_path, sweep, make_recipe())
    names = [
        "metrics.json",
        *(f"{c}.{k}" for c in CHARTS for k in ("png", "pdf")),
        "summary.md",
        "summary.html",
    ]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for chart in CHARTS:
        assert (folder / f"{chart}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{chart}.pdf").read_bytes().startswith(b"%PDF")
    markdown, html = pages(folder)
    assert html.count("data:image/png;base64,") == 3
    assert 'src="http' not in html
    for page in (markdown, html):
        assert f"tau = {sweep.scores.tau:.1f}, best Acc2 over the points on validation, subtracted" in page
        assert "from probabilities" in page
        for value in ("sha256:c1", "sha256:abc", "sha256:def", "sha256:123", "sha256:456"):
            assert value in page
        for heading in (
            "Test scores",
            "Strict and paper protocol",
            "What counterfactual text changes",
            "Confusion matrices",
            "What was run",
            "Notes",
        ):
            assert heading in page
    assert "(scores_by_rate.png)" in markdown


@pytest.mark.usefixtures("quick_figures")
def test_notes_say_what_was_chosen_on_what(make_recipe, tmp_path):
    recipe = make_recipe("selection.metric=f1", "selection.rates=[0, 0.5]")
    folder, _ = write(tmp_path, debiased_sweep(), recipe)
    markdown, _ = pages(folder)
    assert "Checkpoint: epoch 7 of 17, chosen by f1 on the validation fold, missing rate 0, 0.5;" in markdown
    assert "by Acc2 on the 40 validation utterances over all points and mask seeds" in markdown
    assert "percentile bootstrap with 100 resamples of the test fold (seed 0)" in markdown
    assert "The test fold has 10 videos: intervals over so few tend to be too narrow" in markdown
    assert "AUILC: trapezoid area of a score over the 3 missing rates from 0.0 to 1.0" in markdown
    assert "the class means of the test fold, made with its labels" in markdown
    assert "the tau with the best result on the test labels" in markdown
    folder, _ = write(tmp_path / "unfinished", debiased_sweep(), recipe, None)
    assert "Training has not ended: this is the best epoch so far" in pages(folder)[0]


@pytest.mark.usefixtures("quick_figures")
def test_metrics_file_is_what_was_measured(make_recipe, tmp_path):
    sweep = debiased_sweep()
    folder, _ = write(tmp_path, sweep, make_recipe())
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == json.loads(json.dumps(sweep.to_json()))
    assert metrics["tau"] == sweep.scores.tau
    assert metrics["intervals"]["strict"].keys() == {"utterances", "videos"}
    assert metrics["belongs_to"]["checkpoint"] == "sha256:c1"


@pytest.mark.usefixtures("quick_figures")
def test_both_protocols_are_in_one_table(make_recipe, tmp_path):
    sweep = debiased_sweep()
    folder, _ = write(tmp_path, sweep, make_recipe())
    strict, paper = sweep.scores.strict.means["acc2"][1], sweep.scores.paper.table.means["acc2"][1]
    text = f"{100 * strict:.1f} / {100 * paper:.1f} ({round(100 * (paper - strict), 1) + 0.0:+.1f})"
    for page in pages(folder):
        assert text in page


@pytest.mark.usefixtures("quick_figures")
def test_tau_zero_is_said(make_recipe, tmp_path):
    predictions = random_sweep(seed=2)
    predictions.valid.views[COUNTERFACTUAL, TRAINING_MEANS] = predictions.valid.views[FACTUAL, TRAINING_MEANS]
    sweep = measured(predictions)
    assert sweep.scores.tau == 0
    folder, _ = write(tmp_path, sweep, make_recipe())
    assert "Validation chose tau = 0: debiasing by counterfactual text is off" in pages(folder)[0]


@pytest.mark.usefixtures("quick_figures")
def test_a_model_without_counterfactual_text_says_so(make_recipe, tmp_path):
    folder, _ = write(tmp_path, measured(random_sweep(counterfactual=False)), make_recipe("model.maci=label"))
    markdown, _ = pages(folder)
    assert "no tau, as the model has no counterfactual text" in markdown
    assert "What counterfactual text changes" not in markdown
    assert "tau =" not in markdown


@pytest.mark.usefixtures("quick_figures")
def test_a_model_without_causal_inference_says_so(make_recipe, tmp_path):
    predictions = random_sweep(counterfactual=False)
    for fold in (predictions.valid, predictions.test):
        fold.views.pop((FACTUAL, EVALUATED_MEANS), None)
        fold.views[FACTUAL, "none"] = fold.views.pop((FACTUAL, TRAINING_MEANS))
    folder, _ = write(tmp_path, measured(predictions), make_recipe("model.maci=none"))
    assert "no class means, as the model has no causal head" in pages(folder)[0]


@pytest.mark.usefixtures("quick_figures")
def test_an_empty_group_is_a_dash_and_noted(make_recipe, tmp_path):
    predictions = random_sweep()
    predictions.test.labels[:] = 0
    folder, _ = write(tmp_path, measured(predictions), make_recipe())
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["debiased"]["acc2"] == [None] * 3
    markdown, html = pages(folder)
    assert "| 0.5 | - | - |" in markdown
    for page in (markdown, html):
        assert "undefined, because no test utterance belongs to the group" in page
        assert "The test fold has no utterance of class negative, positive" in page
    assert " nan " not in markdown.lower()
    assert ">nan" not in html.lower()


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (SweepPlan.from_settings("smm", (), (0,)), "Mean of the cases"),
        (SweepPlan.from_settings("rmfm", (0.2, 0.4), (0,)), "Mean over 0.2 to 0.4"),
        (SweepPlan.from_settings("rmfm", (0.0, 1.0), (0, 1)), "± standard deviation over the mask seeds"),
    ],
    ids=["smm", "part", "seeds"],
)
def test_other_sweeps_are_told_by_their_own_names(make_recipe, tmp_path, plan, told):
    folder, paths = write(tmp_path, debiased_sweep(plan), make_recipe())
    markdown, _ = pages(folder)
    assert told in markdown
    assert len(paths) == 9
    if plan.pattern == "smm":
        assert "| Kept modalities |" in markdown
        assert "| LAV |" in markdown
    if len(plan.mask_seeds) > 1:
        assert "mask seeds 0, 1" in markdown
        assert " ± " in markdown
    assert ("AUILC" in markdown) == (plan.rates == (0.0, 1.0)) or "no AUILC" in markdown


@pytest.mark.usefixtures("quick_figures")
def test_a_single_rate_has_no_area(make_recipe, tmp_path):
    folder, _ = write(tmp_path, debiased_sweep(SweepPlan.from_settings("rmfm", (0.5,), (0,))), make_recipe())
    markdown, _ = pages(folder)
    assert "AUILC" not in markdown
    assert "Mean over" not in markdown


@pytest.mark.usefixtures("quick_figures")
def test_seven_classes(make_recipe, tmp_path):
    sweep = measured(random_sweep(task=SEVEN, size=60))
    folder, _ = write(tmp_path, sweep, make_recipe("task=seven", "model.maci=none"))
    markdown, _ = pages(folder)
    assert METRIC_TITLES["acc7"] in markdown
    assert METRIC_TITLES["acc2"] not in markdown


def test_equal_scores_give_equal_files(make_recipe, tmp_path):
    contents = []
    for name in ("a", "b"):
        _, paths = write(tmp_path / name, debiased_sweep(), make_recipe())
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


@pytest.mark.usefixtures("quick_figures")
def test_a_second_report_replaces_the_first(make_recipe, tmp_path):
    write(tmp_path, debiased_sweep(), make_recipe())
    folder, _ = write(
        tmp_path, measured(random_sweep(SweepPlan.from_settings("rmfm", (0.5,), (0,)))), make_recipe()
    )
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["rates"] == [0.5]
