"""The commands that make a store and a split again, from what the two record."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from typing import Any

from mer_data.errors import SplitError
from mer_data.export.facts import Facts
from mer_data.sources.catalogue import known_datasets, load_source_manifest
from mer_data.splits import RepartitionSettings
from mer_data.splits.published import APPLIED, load_published, published_names, split_name
from mer_data.splits.repartition import GENERATOR
from mer_data.tasks import TASKS

_NO_OPTION = ("steps_per_utterance",)
"""Parameters of a search that a manifest records and the command line cannot set."""


def commands_again(facts: Facts) -> list[str]:
    """Commands in their order; a comment stands where there is none. Source files lie in the raw folder."""
    dataset, alignment = facts.corpus.dataset, facts.store["alignment"]
    sample = ["mer-data sample"] if dataset == "sample" else []
    store_file = None if facts.store_name == alignment else f"{facts.store_name}.h5"
    build = _command("build", dataset=dataset, alignment=alignment, **_source(facts), out=store_file)
    chosen = {"dataset": dataset, "alignment": store_file or alignment}
    origin = _split_origin(facts)
    split_file: str | None
    if origin is None:
        split = f"# The split was made elsewhere: its manifest is {facts.split.digest}"
        split_file = f"{facts.split_name}.json"
    else:
        split_file = None if origin.usual_name == facts.split_name else f"{facts.split_name}.json"
        split = _command(origin.verb, **chosen, **origin.options, out=split_file)
    card = _command("export", format="card", **chosen, split=split_file or facts.split_name)
    return [*sample, build, split, card]


def _command(verb: str, **options: object) -> str:
    """``mer-data VERB`` with every option that has a value."""
    given = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in options.items()
        if value is not None
    ]
    return " ".join(["mer-data", verb, *given])


def _source(facts: Facts) -> dict[str, str]:
    """Options of ``build`` that say what was read, where the defaults would not."""
    dataset, files = facts.corpus.dataset, facts.store["sources"]
    options: dict[str, str] = {}
    if any(name.endswith(".csd") for name in files):
        options |= facts.store["feature_sets"]
    elif len(files) == 1:
        options["source"] = next(iter(files))
    usual = load_source_manifest(dataset).tokenizer if dataset in known_datasets() else None
    if facts.store["tokenizer"] != usual:
        options["tokenizer"] = facts.store["tokenizer"]
    return options


@dataclass(frozen=True)
class _SplitOrigin:
    """The command that makes a split, and the name that it gives it."""

    verb: str
    usual_name: str
    options: dict[str, Any]


def _split_origin(facts: Facts) -> _SplitOrigin | None:
    """The command that gives the split, if there is one."""
    recorded = dict(facts.split.generator)
    made_by = recorded.pop("name", None)
    if made_by == "standard_folds":
        return _SplitOrigin("standard-split", "standard", {})
    if made_by == APPLIED:
        name = _published(facts.corpus.dataset, str(recorded.get("manifest")))
        return None if name is None else _SplitOrigin("repartition", name, {"from_manifest": name})
    return _search(facts) if made_by == GENERATOR else None


def _published(dataset: str, digest: str) -> str | None:
    """Name of the published manifest with this digest."""
    names = published_names(dataset)
    return next((name for name in names if load_published(dataset, name).digest == digest), None)


def _search(facts: Facts) -> _SplitOrigin | None:
    """A search with the recorded parameters, if the command line has them all."""
    task, dataset = TASKS.get(facts.split.task), facts.corpus.dataset
    if task is None:
        return None
    try:
        settings = RepartitionSettings.from_recorded(facts.split.generator)
    except SplitError:  # recorded by another version
        return None
    if settings.severity == replace(settings, severity=None).severity_for(dataset, task):
        settings = replace(settings, severity=None)
    usual = RepartitionSettings(group_by=settings.group_by).for_corpus(dataset, task)
    default = replace(usual, severity=None, group_by=RepartitionSettings().group_by_for(dataset, task))
    changed = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if getattr(settings, field.name) != getattr(default, field.name)
    }
    if set(changed) & set(_NO_OPTION):
        return None
    if "sizes" in changed:
        changed["sizes"] = ",".join(map(str, changed["sizes"]))
    options = {"task": task.name, "seed": settings.seed, **changed}
    return _SplitOrigin("repartition", split_name(dataset, task, settings, settings.severity), options)
