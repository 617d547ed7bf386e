"""What the files of ``recipes/tables/`` may contain: one file per published table, and ``shared.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cider.recipe.settings import Rates
from cider.scoring.names import Pattern
from mer_data.files.strict_model import StrictModel
from mer_data.tasks import TaskName

Kind = Literal["comparison", "ablation", "complexity", "cross_dataset", "per_rate"]
PublishedMetric = Literal["acc2", "f1", "acc7", "parameters", "gpu_memory", "epoch_time"]
Unit = Literal["percent", "count", "GiB", "s/epoch"]
AnyPattern = Pattern | Literal["smm"]
Kept = Literal["L", "A", "V", "LA", "LV", "AV"]
Place = Literal["complete", "auilc", "training"] | float | Kept
Value = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Source(StrictModel):
    """Where the numbers were published."""

    title: str
    authors: str
    arxiv: str


class TaskRun(StrictModel):
    """A packaged recipe and the ``key=value`` overrides that make it train for a setting."""

    recipe: str
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the resolved recipe."""
        names = [one.removeprefix("name=") for one in self.overrides if one.startswith("name=")]
        return names[-1] if names else self.recipe


class Setting(StrictModel):
    """What is trained on and tested on. Cross-dataset settings test on another corpus."""

    trained_on: str
    tested_on: str
    alignment: Literal["aligned", "unaligned"]
    distribution: Literal["iid", "ood"]
    runs: dict[TaskName, TaskRun]


class Method(StrictModel):
    """A compared method.

    Attributes:
        cite: who published it, or what it is.
        overrides: turn the setting's recipe into it; None: published only.
        note: on what its numbers are of.
        floor: a plain model that the paper does not have, a row of any table on demand.
    """

    cite: str
    overrides: tuple[str, ...] | None
    note: str = ""
    floor: bool = False


class Shared(StrictModel):
    """What all tables have in common (``shared.yaml``)."""

    source: Source
    notes: tuple[str, ...]
    settings: dict[str, Setting]
    methods: dict[str, Method]


class ColumnGroup(StrictModel):
    """Columns that differ in the metric, and in the rate or the kept modalities where ``at`` lists them.

    Attributes:
        key: beginning of the columns' keys.
        setting: name of a setting in ``shared.yaml``.
        pattern: missing pattern; None of complete data and of training cost.
        at: complete data (rate 0.0), the area over rates 0.0 to 1.0, the cost of training, single missing
            rates, or the modalities kept (text L, audio A, vision V).
        metrics: metric to unit, in the order of the columns.
    """

    key: str
    setting: str
    pattern: AnyPattern | None = None
    at: Literal["complete", "auilc", "training"] | Rates | Annotated[tuple[Kept, ...], Field(min_length=1)]
    metrics: dict[PublishedMetric, Unit]

    @model_validator(mode="after")
    def _pattern_fits(self) -> ColumnGroup:
        names_modalities = isinstance(self.at, tuple) and isinstance(self.at[0], str)
        if (self.pattern is None) != (self.at in ("complete", "training")):
            raise ValueError("a pattern goes with a rate, an area or kept modalities, and with nothing else")
        if (self.pattern == "smm") != names_modalities:
            raise ValueError("pattern smm goes with a list of kept modalities")
        return self

    @property
    def places(self) -> tuple[Place, ...]:
        """``at`` as a list."""
        return self.at if isinstance(self.at, tuple) else (self.at,)


class Row(StrictModel):
    """One published row.

    Attributes:
        method: name of a method in ``shared.yaml``.
        label: what the row is called; default: the method's name.
        trained_on: the missing pattern of training, where the paper has a row for each.
        overrides: what an ablation adds to the method's overrides; None: no recipe of ours gives the row.
        values: one per column; None where the paper prints a dash.
    """

    method: str
    label: str = ""
    trained_on: Pattern | None = None
    overrides: tuple[str, ...] | None = ()
    values: tuple[Value | None, ...]

    @property
    def name(self) -> str:
        """The label, or else the method."""
        return self.label or self.method


class Link(StrictModel):
    """A group of columns of another table."""

    table: str
    group: str


class TableFile(StrictModel):
    """A table's file. ``complete`` and ``area``, of a per-rate table: where rate 0.0 and the AUILC are."""

    number: str
    kind: Kind
    title: str
    complete: Link | None = None
    area: Link | None = None
    columns: tuple[ColumnGroup, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _per_rate_tables_are_linked(self) -> TableFile:
        linked = {self.complete is not None, self.area is not None}
        if linked != {self.kind == "per_rate"}:
            raise ValueError("a per-rate table, and no other, says where complete data and areas are")
        return self
