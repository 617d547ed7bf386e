from __future__ import annotations

import click

from mer_data.cli_options import DatasetName, conclude, json_option


@click.command()
@click.argument("dataset", type=DatasetName(), required=False)
@click.option("--check", is_flag=True, help="Read every file that is there and compare its checksum.")
@json_option
def sources(dataset: str | None, check: bool, as_json: bool) -> None:
    """List the known datasets and what of them is on the disk, or the published files of one.

    \b
    Examples:
      mer-data sources
      mer-data sources mosi
      mer-data sources mosei --check
    """
    if dataset is None:
        _datasets(as_json=as_json)
    else:
        _files(dataset, check=check, as_json=as_json)


def _datasets(*, as_json: bool) -> None:
    from mer_data.sources.listing import dataset_states

    states, broken = dataset_states()
    lines = []
    for state in states:
        files = f"{state.num_present} of {state.num_wanted} files" if state.num_wanted else "no downloads"
        stores = ", ".join(state.stores) or "none"
        splits = ", ".join(state.splits) or "none"
        lines += [
            f"{state.manifest.dataset}: {state.manifest.title}",
            f"  {files}; stores: {stores}; splits: {splits}",
        ]
    conclude(
        {
            "datasets": [
                {
                    "name": state.manifest.dataset,
                    "title": state.manifest.title,
                    "licence": state.manifest.licence,
                    "files_wanted": state.num_wanted,
                    "files_present": state.num_present,
                    "stores": state.stores,
                    "splits": state.splits,
                }
                for state in states
            ],
            "broken": broken,
        },
        [*lines, *(f"{name}: {reason}" for name, reason in broken.items())],
        "mer-data sources DATASET",
        as_json=as_json,
    )


def _files(dataset: str, *, check: bool, as_json: bool) -> None:
    from mer_data.sources.catalogue import load_source_manifest
    from mer_data.sources.listing import file_states

    manifest = load_source_manifest(dataset)
    states = file_states(dataset, check=check)
    lines = [f"{manifest.title}. {manifest.licence}"]
    for collection in manifest.collections:
        place = {
            "http": "",
            "hub": f", hub:{collection.repository}",
            "manual": f", by hand: {collection.page}",
        }
        lines.append(f"{collection.name}: {collection.title}{place[collection.via]}")
        for state in states:
            if state.collection.name == collection.name:
                file = state.file
                marks = [
                    file.role,
                    *(["default"] if file.default else []),
                    state.state,
                    *filter(None, [state.note]),
                ]
                lines.append(f"  {file.key}: {file.name} ({', '.join(marks)})")
    conclude(
        {
            "dataset": dataset,
            "files": [
                {
                    **state.file.model_dump(),
                    "collection": state.collection.name,
                    "via": state.collection.via,
                    "state": state.state,
                    "note": state.note,
                }
                for state in states
            ],
        },
        lines,
        f"mer-data download {dataset}" if states else None,
        as_json=as_json,
    )
