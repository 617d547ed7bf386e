"""How a split was made, in words, from the generator that its manifest records."""

from __future__ import annotations

from typing import Any

from mer_data.splits import SplitManifest
from mer_data.splits.published import missing_utterances

_MOVED = {
    "utterance": "single utterances move (a speaker may be on both sides)",
    "video": "whole videos move (no speaker is on both sides)",
}
_VALID = {"iid": "validation from the side of train", "ood": "validation from the side of test"}


def how_made(manifest: SplitManifest) -> str:
    """A sentence or two; parameters without words of their own are listed by name."""
    sentence = _in_words(dict(manifest.generator))
    missing = len(missing_utterances(manifest))
    return sentence + (f" The store lacks {missing:,} of its utterances." if missing else "")


def _in_words(generator: dict[str, Any]) -> str:
    name = generator.pop("name", None)
    if name == "standard_folds":
        return "The published folds of the corpus."
    if name == "applied":
        made_by = generator.get("made_by")
        origin = _in_words(dict(made_by)) if isinstance(made_by, dict) and made_by else "Made elsewhere."
        return f"Applied to this store from manifest {generator.get('manifest')}. {origin}"
    if name != "repartition":
        return f"Made by {name}{_rest(generator)}."
    seed, severity, group_by, keep_valid = (
        generator.pop(key, None) for key in ("seed", "severity", "group_by", "keep_valid")
    )
    start = f"A search with seed {seed}" + ("" if severity is None else f", severity {_plain(severity)}")
    phrases = [words[key] for words, key in ((_MOVED, group_by), (_VALID, keep_valid)) if key in words]
    if "sizes" in generator:
        sizes = generator.pop("sizes")
        phrases.append("sizes of the standard folds" if sizes is None else f"sizes {sizes}")
    return f"{'; '.join([start, *phrases])}{_rest(generator)}."


def _rest(parameters: dict[str, Any]) -> str:
    """Parameters by name and value."""
    named = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in parameters.items())
    return f" ({named})" if named else ""


def _plain(value: Any) -> str:
    """A number without idle zeros, and anything else as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)
