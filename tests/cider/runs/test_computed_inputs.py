from cider.runs.experiment import Experiment
from mer_data.workspace import Workspace


def files(home):
    folder = home / "sample" / "statistics"
    return {path.name: path.read_bytes() for path in folder.iterdir() if ".standard." in path.name}


def test_what_is_missing_becomes_what_the_commands_make(own_home, make_recipe):
    experiment = Experiment.open(make_recipe())
    before, lines = files(own_home), []
    made = {name: content for name, content in before.items() if name.startswith("unaligned.")}
    for name in made:
        (own_home / "sample" / "statistics" / name).unlink()
    experiment.make_missing_inputs(lines.append)
    after = files(own_home)
    assert set(after) == set(before)
    assert all(after[name] == made[name] for name in made if not name.endswith(".h5"))
    experiment.class_statistics(experiment.build_model().text_encoder)  # checks what it was made from
    assert [line.split(":")[0] for line in lines] == [
        "Class statistics are not there",
        "The counterfactual vocabulary is not there",
    ]
    lines.clear()
    experiment.make_missing_inputs(lines.append)
    assert (lines, files(own_home)) == ([], after)


def test_nothing_is_made_that_the_model_does_not_read(own_home, make_recipe):
    for path in (own_home / "sample" / "statistics").iterdir():
        path.unlink()
    Experiment.open(make_recipe("model.maci=none")).make_missing_inputs(print)
    assert files(own_home) == {}
    workspace = Workspace("sample")
    experiment = Experiment.open(make_recipe("model.maci=language"))
    experiment.make_missing_inputs(lambda line: None)
    assert workspace.vocabulary_path(experiment.store.path, experiment.split_path, "binary").is_file()
    assert len(files(own_home)) == 2
