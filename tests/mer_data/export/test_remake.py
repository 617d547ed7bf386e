import json
import shlex
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from described_stores import standard

from mer_data.commands import main
from mer_data.export.facts import collect_facts
from mer_data.export.remake import commands_again
from mer_data.splits import RepartitionSettings
from mer_data.splits.published import load_published, published_names
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS


def run(*words):
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"


def commands_in(card):
    block = card.split("## Make it again\n", 1)[1].split("```bash\n", 1)[1].split("\n```", 1)[0]
    return [shlex.split(line) for line in block.splitlines()]


SEARCH = ["--task", "seven", "--seed", "3", "--severity", "0.3", "--min-count", "5", "--sizes", "280,80,120"]
ODD, MINE = "odd name.h5", "my split.json"


@pytest.mark.parametrize(
    ("build", "split", "name"),
    [
        (["--alignment", "aligned"], ["standard-split"], "standard"),
        (
            ["--out", ODD],
            ["repartition", *SEARCH, "--alignment", ODD, "--out", "my split.json"],
            "my split.json",
        ),
    ],
    ids=["usual", "named"],
)
def test_the_commands_of_a_card_give_the_same_card(tmp_path, monkeypatch, build, split, name):
    """Equal cards have equal digests of store and split."""

    def at(place):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / place / "data"))

    at("first")
    run("sample")
    run("build", "--dataset", "sample", *build)
    run(*split, "--dataset", "sample")
    store = ["--alignment", ODD] if ODD in build else []
    run("export", "--dataset", "sample", "--format", "card", "--split", name, *store, "--out", "card.md")
    card = Path("card.md").read_text(encoding="utf-8")
    at("second")
    *commands, last = commands_in(card)
    for words in commands:
        run(*words[1:])
    run(*last[1:], "--out", "card.md")
    assert Path("card.md").read_text(encoding="utf-8") == card


def test_a_usual_search_has_no_options_to_spare(facts):
    settings = RepartitionSettings(group_by="video").for_corpus("sample", TASKS["binary"])
    recorded = {"name": "repartition", **settings.recorded(settings.severity_for("sample", TASKS["binary"]))}
    split = replace(facts.split, task="binary", generator=recorded)
    command = commands_again(replace(facts, split=split, split_name="ood_binary_video_seed0"))[-2]
    assert command == (
        "mer-data repartition --dataset sample --alignment unaligned --task binary --seed 0 --group-by video"
    )


def again(facts, **generator):
    """The command for a split with this generator."""
    return commands_again(replace(facts, split=replace(facts.split, generator=generator)))[-2]


@pytest.fixture
def facts(sample_store):
    return collect_facts(sample_store, standard(sample_store), "standard")


def of_dataset(facts, dataset):
    return replace(facts, corpus=replace(facts.corpus, dataset=dataset))


def test_a_published_split_is_taken_by_name(facts):
    name = published_names("mosi")[0]
    command = again(
        of_dataset(facts, "mosi"), name="applied", manifest=load_published("mosi", name).digest, made_by={}
    )
    assert command.endswith(f" --from-manifest {name} --out standard.json")


@pytest.mark.parametrize(
    "generator",
    [
        {"name": "by hand"},
        {"name": "applied", "manifest": "sha256:0", "made_by": {}},
        {"name": "repartition", "seed": 0, "severity": 0.5, "temperature": 2},
        {"name": "repartition", "seed": -1, "severity": 0.5},
        {"name": "repartition", "seed": 0, "severity": 0.5, "steps_per_utterance": 7},
        {},
    ],
    ids=["by hand", "unknown manifest", "other version", "impossible", "no option", "nothing"],
)
def test_what_no_command_gives_is_told(facts, generator):
    facts = replace(facts, split=replace(facts.split, task="binary"))
    made = replace(facts.split, generator=generator)
    assert again(facts, **generator) == f"# The split was made elsewhere: its manifest is {made.digest}"


def test_a_search_for_no_task_has_no_command(facts):
    assert again(facts, name="repartition", seed=0, severity=0.5).startswith("# The split was made elsewhere")


def source_options(facts, dataset, **store):
    return commands_again(replace(of_dataset(facts, dataset), store={**facts.store, **store}))[0]


def test_a_pickle_is_named_as_the_source(facts):
    command = source_options(
        facts, "mosi", sources={"un aligned.pkl": "sha256:0"}, tokenizer="bert-base-uncased"
    )
    assert command == "mer-data build --dataset mosi --alignment unaligned --source 'un aligned.pkl'"


def test_another_tokenizer_is_named(facts):
    assert source_options(facts, "mosi").endswith("--audio tone --vision face --tokenizer tiny")


def test_a_corpus_of_the_users_own_needs_no_manifest_here(sample_stores, tmp_path):
    path = tmp_path / "unaligned.h5"
    path.write_bytes(sample_stores["unaligned"].read_bytes())
    with h5py.File(path, "a") as file:
        file.attrs.update({"dataset": "elsewhere", "sources": json.dumps({})})
    store = FeatureStore.open(path)
    first = commands_again(collect_facts(store, standard(store), "standard"))[0]
    assert first == "mer-data build --dataset elsewhere --alignment unaligned --tokenizer tiny"
