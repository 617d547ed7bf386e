import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances

from cider.figures import embed_runs
from cider.figures.embedding import class_silhouette, project
from cider.figures.trained import LoadedRun
from cider.scoring.conditions import condition_of
from mer_data.errors import MerDataError, RunError
from mer_data.reports.charts.scatter import ScatterPanel, scatter_chart


def test_joint_representations_are_the_models_own_for_any_company(home, trained_run):
    run = LoadedRun.open(trained_run)
    fold = run.fold("test")
    condition = condition_of("rmfm", 0.5, 0)
    joint = fold.joint_condition(condition)
    assert joint.shape == (24, 24)
    assert np.ptp(joint, axis=0).min() > 1e-4
    fold._pieces = [[one] for piece in fold._pieces for one in piece][::-1]
    np.testing.assert_allclose(fold.joint_condition(condition), joint, atol=1e-6)
    # The head on them answers as the model does.
    from torch import from_numpy, inference_mode

    with inference_mode():
        logs = run.model.head(from_numpy(joint).float(), intervention="test")
    views = fold.predict("rmfm", 0.5, 0)
    np.testing.assert_allclose(logs.exp().numpy(), views["factual"], atol=1e-5)
    with_counterfactual = run.fold("test", counterfactual=True).joint_condition(condition)
    np.testing.assert_allclose(with_counterfactual, joint, atol=1e-6)


def test_the_figure_and_its_data(home, trained_run, tmp_path):
    found = embed_runs([trained_run], (0.0, 0.5), method="pca")
    paths = found.write(tmp_path / "new" / "embedding")
    assert [path.suffix for path in paths] == [".png", ".pdf", ".csv", ".json"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    table = pd.read_csv(paths[2])
    assert list(table.columns) == ["run", "rate", "id", "class", "x", "y"]
    assert len(table) == 2 * 24
    assert set(table["class"]) <= {"negative", "neutral", "positive"}
    told = json.loads(paths[3].read_text())
    fold = LoadedRun.open(trained_run).fold("test")
    joint = fold.joint_condition(condition_of("rmfm", 0.5, 0))
    assert told["panels"][1]["silhouette"] == pytest.approx(class_silhouette(joint, found.classes), abs=1e-5)
    np.testing.assert_allclose(table[["x", "y"]].to_numpy()[24:], project(joint, "pca"), atol=1e-4)


def test_pca_keeps_the_greatest_variances_and_tsne_is_repeatable():
    x = np.random.default_rng(0).normal(size=(40, 6)) * np.array([5, 4, 1, 1, 1, 1])
    points = project(x, "pca")
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T))[::-1][:2]
    np.testing.assert_allclose(points.var(axis=0, ddof=1), eigenvalues)
    assert np.array_equal(project(x, "tsne"), project(x, "tsne"))
    assert project(x[:5], "tsne").shape == (5, 2)


def test_silhouette_is_its_formula_and_undefined_for_one_class():
    x = np.random.default_rng(1).normal(size=(9, 3))
    classes = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    distances = pairwise_distances(x)
    values = []
    for row in range(9):
        own = [other for other in range(9) if classes[other] == classes[row] and other != row]
        a = distances[row, own].mean()
        b = min(distances[row, classes == c].mean() for c in set(classes) - {classes[row]})
        values.append((b - a) / max(a, b))
    assert class_silhouette(x, classes) == pytest.approx(np.mean(values))
    assert np.isnan(class_silhouette(x, np.zeros(9, dtype=int)))


def test_runs_of_another_task_are_refused(home, trained_run, untrained_seven):
    with pytest.raises(RunError, match=r"another task .*: found seven, expected binary"):
        embed_runs([trained_run, untrained_seven], (0.5,))


def test_panels_must_fit_the_groups(tmp_path):
    with pytest.raises(MerDataError, match=r"does not fit the groups: found \(3, 2\), expected \(4, 2\)"):
        scatter_chart(
            [ScatterPanel("p", np.zeros((3, 2)))],
            groups=np.zeros(4, dtype=int),
            group_names=["a"],
            row_names=["r"],
            title="t",
            path_stem=tmp_path / "x",
        )
