import json


def test_joint_space_of_a_run(home, cider, fails, own_run):
    result = cider("figure", "embedding", own_run, "--rates", "0.5", "--method", "pca", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["panels"][0]["rate"] == 0.5
    assert [path.rsplit(".")[-1] for path in told["files"]] == ["png", "pdf", "csv", "json"]
    assert (own_run / "figures" / "embedding.png").is_file()
    assert "embedding.json exists already" in fails(cider("figure", "embedding", own_run))
    again = cider("figure", "embedding", own_run, "--rates", "0.5", "--method", "pca", "--force")
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("Silhouette of the true classes in the joint space")


def test_what_cannot_be_drawn_is_one_line(home, cider, fails, own_run, tmp_path):
    assert "no training run" in fails(cider("figure", "embedding", tmp_path / "none"))
    assert "not a list of missing rates" in fails(cider("figure", "embedding", own_run, "--rates", "2"))
    message = fails(cider("figure", "correction", own_run, "--plain", own_run))
    assert "needs a run with model.maci none here" in message


def test_the_effect_of_debiasing(home, cider, fails, own_run):
    result = cider("figure", "debiasing", own_run, "--json")
    told = json.loads(result.stdout)
    assert set(told["folds"]) == {"valid", "test"}
    assert (own_run / "figures" / "debiasing.pdf").is_file()
    assert "debiasing.json exists already" in fails(cider("figure", "debiasing", own_run))
    again = cider("figure", "debiasing", own_run, "--rate", "0.5", "--force")
    assert "counterfactual text alone" in again.output
    assert "impossible missing rate" in fails(cider("figure", "debiasing", own_run, "--rate", "2", "--force"))
