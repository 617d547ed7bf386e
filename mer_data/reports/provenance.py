"""How a split was made, in words, from the generator that its manifest records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_data.splits import SplitManifest
from mer_data.splits.published import missing_utterances

_MOVED = {
    "utterance": "single utterances move (a speaker may be on both sides)",
    "video": "whole videos move (no speaker is on both sides)",
}
_VALID = {"iid": "validation from the side of train", "ood": "validation from the side of test"}


def provenance(manifest: SplitManifest, told: Mapping[str, Any] | None = None) -> str:
    """A sentence or two; parameters without words of their own are listed by name.

    Args:
        manifest: of the split.
        told: parameters of searches that a reader knows already (``shared_parameters``).
    """
    sentence = _in_words(dict(manifest.generator), told or {})
    missing = len(missing_utterances(manifest))
    return sentence + (f" The store lacks {missing:,} of its utterances." if missing else "")


def shared_parameters(manifests: Sequence[SplitManifest]) -> dict[str, Any]:
    """What all searches record alike beside seed and severity; nothing where there are fewer than two."""
    searches = [
        manifest.generator for manifest in manifests if manifest.generator.get("name") == "repartition"
    ]
    if len(searches) < 2:
        return {}
    first, *others = searches
    return {
        name: value
        for name, value in first.items()
        if name not in ("name", "version", "seed", "severity")
        and all(name in other and other[name] == value for other in others)
    }


def parameters_in_words(parameters: Mapping[str, Any]) -> str:
    """Parameters of a search, without a full stop."""
    rest = dict(parameters)
    group_by, keep_valid = rest.pop("group_by", None), rest.pop("keep_valid", None)
    phrases = [words[key] for words, key in ((_MOVED, group_by), (_VALID, keep_valid)) if key in words]
    if "sizes" in rest:
        sizes = rest.pop("sizes")
        phrases.append("sizes of the standard folds" if sizes is None else f"sizes {sizes}")
    return "; ".join(phrases) + _rest(rest)


def _in_words(generator: dict[str, Any], told: Mapping[str, Any]) -> str:
    name = generator.pop("name", None)
    if name == "standard_folds":
        return "The published folds of the corpus."
    if name == "applied":
        made_by = generator.get("made_by")
        origin = _in_words(dict(made_by), {}) if isinstance(made_by, dict) and made_by else "Made elsewhere."
        return f"Applied to this store from manifest {generator.get('manifest')}. {origin}"
    if name != "repartition":
        return f"Made by {name}{_rest(generator)}."
    seed, severity = generator.pop("seed", None), generator.pop("severity", None)
    version = generator.pop("version", 1)
    search = "A search" if version == 1 else f"A search (version {version})"
    start = f"{search} with seed {seed}" + ("" if severity is None else f", severity {_plain(severity)}")
    own = {key: value for key, value in generator.items() if key not in told or told[key] != value}
    rest = parameters_in_words(own)
    return f"{start}{rest if rest.startswith(' (') or not rest else f'; {rest}'}."


def _rest(parameters: dict[str, Any]) -> str:
    """Parameters by name and value."""
    named = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in parameters.items())
    return f" ({named})" if named else ""


def _plain(value: Any) -> str:
    """A number without idle zeros, and anything else as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)
