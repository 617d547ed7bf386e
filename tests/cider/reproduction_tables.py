"""A folder of small tables whose runs are trained on the tiny workspace in a second."""

from __future__ import annotations

from pathlib import Path

import yaml

TINY = [
    "data.split=standard",
    "model.width=8",
    "model.heads=2",
    "training.max_epochs=1",
]


def write_tables(folder: Path, *, overrides: tuple[str, ...] = ()) -> Path:
    """``shared.yaml`` and tables 1 to 5; ``overrides`` go into every run of ours.

    1 compares, 2 is per rate, 3 is of cost, 4 is trained and tested on different corpora, 5 keeps modalities.
    """
    folder.mkdir(parents=True, exist_ok=True)
    binary = {"recipe": "sample", "overrides": ["name=tiny_binary", *TINY, *overrides]}
    seven = {
        "recipe": "sample",
        "overrides": ["name=tiny_seven", "task=seven", "model.maci=none", *TINY, *overrides],
    }
    one = {"alignment": "unaligned", "distribution": "iid", "runs": {"binary": binary, "seven": seven}}
    published = {"cite": "Somebody et al.", "overrides": None}
    plain = {"cite": "CIDer without MACI", "overrides": ["model.maci=none"], "floor": True}
    _write(
        folder / "shared.yaml",
        {
            "source": {"title": "A study", "authors": "A. Author", "arxiv": "0000.00000"},
            "notes": ["Shared by all."],
            "settings": {
                "here": {"trained_on": "sample", "tested_on": "sample", **one},
                "there": {"trained_on": "sample", "tested_on": "second", **one},
            },
            "methods": {
                "LNLN": published,
                "CIDer": {"cite": "Zhong et al.", "overrides": []},
                "plain": plain,
            },
        },
    )
    area = {"key": "area", "setting": "here", "pattern": "rmfm", "at": "auilc"}
    whole = {"key": "whole", "setting": "here", "at": "complete"}
    rates = {"key": "rates", "setting": "here", "pattern": "rmfm", "at": [0.5, 1.0]}
    tables = {
        "table1": (
            "comparison",
            [
                {**area, "metrics": {"acc2": "percent", "acc7": "percent"}},
                {**whole, "metrics": {"acc2": "percent"}},
            ],
            [
                {"method": "LNLN", "values": [50.0, 20.0, 60.0]},
                {"method": "CIDer", "values": [52.5, None, 61.0]},
                {
                    "method": "CIDer",
                    "label": "without MCM",
                    "overrides": ["model.maci=language"],
                    "values": [51.0, 21.0, 60.5],
                },
                {"method": "CIDer", "label": "without WSAM", "overrides": None, "values": [49.0, 19.0, 58.0]},
            ],
        ),
        "table2": (
            "per_rate",
            [{**rates, "metrics": {"acc2": "percent"}}],
            [{"method": "LNLN", "values": [48.0, 40.0]}, {"method": "CIDer", "values": [50.0, 45.0]}],
        ),
        "table3": (
            "complexity",
            [
                {
                    "key": "training",
                    "setting": "here",
                    "at": "training",
                    "metrics": {"parameters": "count", "gpu_memory": "GiB", "epoch_time": "s/epoch"},
                }
            ],
            [
                {"method": "LNLN", "values": [6483012, 13.2, 12.6]},
                {"method": "CIDer", "values": [247946, 6.8, 10.4]},
            ],
        ),
        "table4": (
            "cross_dataset",
            [{**area, "key": "crossed", "setting": "there", "metrics": {"acc2": "percent"}}],
            [{"method": "CIDer", "values": [44.0]}],
        ),
        "table5": (
            "comparison",
            [
                {
                    "key": "kept",
                    "setting": "here",
                    "pattern": "smm",
                    "at": ["L", "AV"],
                    "metrics": {"acc2": "percent"},
                }
            ],
            [{"method": "CIDer", "values": [55.0, 41.0]}],
        ),
    }
    links = {
        "complete": {"table": "table1", "group": "whole"},
        "area": {"table": "table1", "group": "area"},
    }
    for name, (kind, columns, rows) in tables.items():
        content = {"number": name[-1], "kind": kind, "title": f"A {kind}", "columns": columns, "rows": rows}
        _write(
            folder / f"{name}.yaml",
            {**content, **(links if kind == "per_rate" else {}), "notes": [f"Note of {name}."]},
        )
    return folder


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
