import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from described_stores import described_store, standard
from exact_stores import split_of

from mer_data.errors import SplitError
from mer_data.export.card import MOST_IDS, card, card_path, write_card
from mer_data.export.facts import collect_facts
from mer_data.export.statements import ADVERSARIAL, GENERATED, LABELS, SPEAKERS
from mer_data.splits import RepartitionSettings, repartition
from mer_data.tasks import TASKS
from mer_data.utterances import DroppedUtterance


def tables_of(text):
    """Every table as a list of rows of cells, by the number in its caption."""
    found = {}
    for number, block in re.findall(r"^Table (\d+)\. .*\n\n((?:\|.*\n)+)", text, flags=re.M):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        assert len({len(row) for row in rows}) == 1, "a table whose rows differ in length"
        found[int(number)] = [[cell.strip() for cell in row] for row in rows]
    return found


def section_of(text, heading):
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.fixture(scope="module")
def ood(sample_stores):
    from mer_data.store.reader import FeatureStore

    store = FeatureStore.open(sample_stores["unaligned"])
    settings = RepartitionSettings(min_count=3, label_tolerance=0.1)
    (split,) = repartition(
        store.utterances,
        dataset="sample",
        utterance_digest=store.utterance_digest,
        task=TASKS["binary"],
        settings=settings,
    )
    return store, split


def test_counts_and_shares_of_the_folds(ood):
    store, split = ood
    tables = tables_of(card(collect_facts(store, split, "mine")))
    frame = store.utterances.set_index("id")
    for number, row in enumerate(tables[1][2:]):
        fold = ("train", "valid", "test")[number]
        part = frame.loc[list(split.splits[fold])]
        hours = (part["end_s"] - part["start_s"]).sum() / 3600
        signs = [int((np.sign(part["label"]) == sign).sum()) for sign in (-1, 0, 1)]
        shares = [f"{n} ({100 * n / len(part):.1f} %)" for n in signs]
        assert row == [fold, str(len(part)), str(part["video_id"].nunique()), f"{hours:.2f}", *shares]
        rounded = np.rint(part["label"].to_numpy(np.float64))
        counts = [int((rounded == value).sum()) for value in range(-3, 4)]
        assert [int(cell.split(" ")[0]) for cell in tables[2][2 + number][1:]] == counts


def test_features_cleaning_and_digests(ood):
    store, split = ood
    text = card(collect_facts(store, split, "mine"))
    tables = tables_of(text)
    lengths = store.lengths("audio")
    assert tables[3][2] == [
        "audio",
        "tone",
        "6",
        "averaged to 12.5 Hz",
        str(int(np.sort(lengths)[(len(lengths) - 1) // 2])),
        str(lengths.max()),
        f"at most {store.limits['audio']}",
    ]
    cleaning = {name.replace("_", " "): n for name, n in store.attribute("cleaning").items()}
    assert {row[0]: int(row[1].replace(",", "")) for row in tables[4][2:]} == {
        name: n for name, n in cleaning.items() if n
    }
    absent = section_of(text, "Cleaning and dropped utterances").split("not found: ")[1].split(".")[0]
    assert sorted(absent.split(", ")) == sorted(name for name, n in cleaning.items() if not n)
    assert "**Columns of audio**: tone_0 to tone_5\n" in text
    for digest in (
        store.content_digest,
        store.utterance_digest,
        split.digest,
        *store.attribute("sources").values(),
    ):
        assert digest in text


def test_shift_leaks_and_words_are_those_of_the_manifest(ood):
    store, split = ood
    text = card(collect_facts(store, split, "mine"))
    shift, tables = split.shift, tables_of(text)
    bits, probe = shift["word_label_divergence_bits"], shift["text_probe"]
    assert tables[5][2] == [
        "divergence of test (bits)",
        f"{bits['this_split']:.4f}",
        f"{bits['standard_folds']:.4f}",
        f"{bits['random_mean']:.4f} ± {bits['random_std']:.4f}",
    ]
    assert tables[5][4][:3] == [
        "text probe on test (Acc2, %)",
        f"{100 * probe['test']:.1f}",
        f"{100 * probe['standard_folds']:.1f}",
    ]
    assert dict(tables[6][2:])["running words of test that train lacks (%)"] == (
        f"{100 * shift['vocabulary']['test_oov_rate']:.1f}"
    )
    first = shift["top_words"][0]
    assert tables[7][2][:2] == [first["word"], f"{first['divergence_bits']:.3f}"]
    assert tables[7][2][5:] == [f"{100 * share:.0f}" for share in first["shifted_shares"].values()]
    limits = section_of(text, "Intended use and limits")
    videos = shift["videos"]
    assert f"{videos['num_test_in_train_or_valid']} of the {videos['num_test']} videos of test" in limits
    assert f"{shift['near_duplicates']['num_test']} utterance" in limits
    assert ADVERSARIAL in limits


def test_standard_folds_are_no_stress_test(sample_store):
    text = card(collect_facts(sample_store, standard(sample_store), "standard"))
    assert ADVERSARIAL not in text
    assert "Words that moved" not in text
    assert "The published folds of the corpus." in text


def test_speakers_of_a_real_corpus_are_protected(small_facts):
    assert GENERATED in card(small_facts)
    real = card(replace(small_facts, corpus=replace(small_facts.corpus, dataset="mosi")))
    assert SPEAKERS.split(":")[0] in section_of(real, "Terms")
    assert LABELS.split(";")[0] in real
    assert GENERATED not in real


def test_a_split_made_by_hand(small_facts):
    text = card(small_facts)
    assert "The manifest records no measures." in text
    assert "Leaks between the folds: not measured." in text
    assert section_of(text, "Dropped utterances") == "\n```text\nv004$_$1: not used\n```\n"
    assert tables_of(text)[5][2] == ["not used", "1"]
    assert [row[-1] for row in tables_of(text)[3][2:]] == ["at most 20", "at most 20"]
    assert [row[3] for row in tables_of(text)[3][2:]] == ["averaged to 12.5 Hz", "as in the source"]


def test_an_aligned_store_and_one_without_times(tmp_path):
    store = described_store(tmp_path / "s.h5", ["a b", "c", "d"], aligned=True)
    text = card(collect_facts(store, split_of(store, [0], [1], [2]), "x"))
    assert [row[3] for row in tables_of(text)[3][2:]] == ["one per word piece"] * 2


def test_an_empty_fold_has_no_shares(small_store):
    text = card(collect_facts(small_store, split_of(small_store, [], [], [0, 1]), "only_test"))
    assert tables_of(text)[1][2] == ["train", "0", "0", "–", "0", "0", "0"]


def test_long_lists_of_ids_end(small_facts):
    drops = tuple(DroppedUtterance(f"v{n}$_$1", "why") for n in range(MOST_IDS + 5))
    facts = replace(small_facts, split=replace(small_facts.split, dropped=drops))
    lines = section_of(card(facts), "Dropped utterances").splitlines()[2:-1]
    assert len(lines) == MOST_IDS + 1
    assert lines[-1] == "... and 5 more"


def test_the_header_is_yaml_and_the_citation_bibtex(small_facts):
    text = card(small_facts)
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "other"
    assert header["pretty_name"] == small_facts.corpus.title
    assert section_of(text, "Citation") == f"\n```bibtex\n{small_facts.corpus.citation}\n```\n"


def test_no_text_breaks_out_of_its_place(small_facts):
    corpus = replace(
        small_facts.corpus,
        title="A <b>title</b> | with: *marks*",
        citation="@a{x, note={```\n# not a heading\n```}}",
    )
    text = card(replace(small_facts, corpus=corpus))
    assert yaml.safe_load(text.split("---\n")[1])["pretty_name"] == corpus.title
    assert "# A \\<b\\>title\\</b\\> \\| with: \\*marks\\*" in text
    assert text.endswith(f"````bibtex\n{corpus.citation}\n````\n")


def test_equal_facts_give_equal_bytes_and_no_path(small_store, small_split, tmp_path):
    for name in "ab":
        write_card(collect_facts(small_store, small_split, "x"), tmp_path / f"{name}.md")
    assert (tmp_path / "a.md").read_bytes() == (tmp_path / "b.md").read_bytes()
    assert str(tmp_path) not in (tmp_path / "a.md").read_text()


def test_a_split_of_another_store_is_refused(small_store, sample_store):
    with pytest.raises(SplitError, match=r"made from another store than .*small\.h5"):
        collect_facts(small_store, standard(sample_store), "x")


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("a.b.parquet", "a.b.card.md"),
        ("x.croissant.json", "x.card.md"),
        ("x.json", "x.card.md"),
        ("x.pkl", "x.card.md"),
        ("x", "x.card.md"),
    ],
)
def test_the_card_stands_beside(target, wanted):
    assert card_path(Path("folder") / target) == Path("folder") / wanted


def test_a_manifest_with_nulls_has_dashes(ood):
    store, split = ood
    nulls = {"this_split": 0.5, "standard_folds": None, "random_mean": None, "random_std": None}
    shift = {**split.shift, "word_label_divergence_bits": nulls, "near_duplicates": None, "top_words": None}
    text = card(collect_facts(store, replace(split, shift=json.loads(json.dumps(shift))), "x"))
    assert tables_of(text)[5][2] == ["divergence of test (bits)", "0.5000", "–", "–"]
    assert "nearly repeat" not in text
