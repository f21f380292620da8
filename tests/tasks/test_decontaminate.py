"""Decontamination: what leaves, what stays, what is said, and that a search that finds nothing is no clean bill."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from params.decontaminate import DecontaminateParams, EvaluationSetParams
from params.errors import SourceError
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.decontaminate import decontaminate
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_name, shard_writer

Seal = Callable[..., Manifest]
Rows = list[dict[str, Any]]

# Austen, Persuasion (1817), chapters 1 and 8; Melville, Moby-Dick (1851), chapter 1.
ELLIOT = (
    "Sir Walter Elliot, of Kellynch Hall, in Somersetshire, was a man who, for his own amusement, never took up any "
    "book but the Baronetage; there he found occupation for an idle hour, and consolation in a distressed one; there "
    "his faculties were roused into admiration and respect, by contemplating the limited remnant of the earliest "
    "patents; there any unwelcome sensations, arising from domestic affairs changed naturally into pity and contempt."
)
WENTWORTH = (
    "From this time Captain Wentworth and Anne Elliot were repeatedly in the same circle. They were soon dining in "
    "company together at Mr Musgrove's, for the little boy's state could no longer supply his aunt with a pretence for "
    "absenting herself; and this was but the beginning of other dinings and other meetings."
)
ISHMAEL = (
    "Call me Ishmael. Some years ago - never mind how long precisely - having little or no money in my purse, and "
    "nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the "
    "world. It is a way I have of driving off the spleen and regulating the circulation."
)
LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the Software without restriction, including without limitation the rights to "
    "use, copy, modify, merge, publish, distribute, sublicense, and to permit persons to do so."
)
QUESTION = "Which of these planets has the largest number of moons, as known today?"
# Li Bai, 静夜思 and 望庐山瀑布; Wang Zhihuan, 登鹳雀楼; the last two lines of Bai Juyi's 赋得古原草送别 are left out.
MOON = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
FALLS = "日照香炉生紫烟，遥看瀑布挂前川。飞流直下三千尺，疑是银河落九天。"
TOWER = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"


def write(path: Path, texts: list[str], first: int) -> None:
    count = range(first, first + len(texts))
    unknown = [None] * len(texts)
    sources = ["poems" if "，" in text else "s" for text in texts]
    columns = [[f"{n:032x}" for n in count], sources, ["p"] * len(texts), list(count), texts, *[unknown] * 2]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, DOCUMENT.types, strict=True)]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT))


def sealed(seal: Seal, *train: list[str], validation: tuple[str, ...] = (), test: tuple[str, ...] = ()) -> Manifest:
    """Split documents, a list per training shard; numbered from 0 in training, from 900 and 950 in the others."""

    def fill(out: Path) -> None:
        first = 0
        for index, texts in enumerate(train):
            write(out / "train" / shard_name(index), texts, first)
            first += len(texts)
        write(out / "validation" / shard_name(0), [WENTWORTH, *validation], 900)
        write(out / "test" / shard_name(0), [ISHMAEL, *test], 950)

    return seal(f"split-{abs(hash((*map(tuple, train), validation, test)))}", fill)


def rows(out: Path, side: str) -> Rows:
    return [
        row
        for path in sorted((out / side).glob("*.arrow"))
        for batch in read_batches(path)
        for row in batch.to_pylist()
    ]


def texts(out: Path, side: str = "train") -> list[str]:
    return [row["text"] for row in rows(out, side)]


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def work(run: Run, out: Path) -> Callable[..., Metrics]:
    """`work(splits, **parameters)` writes to `out`."""

    def call(splits: Manifest, **params: Any) -> Metrics:
        return decontaminate.work(DecontaminateParams(**params), splits, out=out, run=run)

    return call


def evaluation_set(path: Path, records: list[Any], *fields: str) -> EvaluationSetParams:
    """A set in a jsonl file; a record that is a string is the line itself."""
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return EvaluationSetParams(name="quiz", path=str(path), text_fields=fields or ("text",))


def test_a_training_document_with_a_test_document_in_it_goes_and_says_why(seal: Seal, work, out: Path):
    quoting = f"{ELLIOT}\n\n{ISHMAEL}\n\n{ELLIOT[::-1]}"
    metrics = work(sealed(seal, [ELLIOT, quoting]))
    assert texts(out) == [ELLIOT]
    (gone,) = rows(out, "rejected")
    assert (gone["id"], gone["text"], gone["position"]) == (f"{1:032x}", quoting, 1)
    assert (gone["rule"], gone["value"], gone["threshold"]) == ("overlap.test", 1.0, 0.5)
    assert gone["detail"].startswith(f"{950:032x} s/p:950: 1 passage in common, with “Call me Ishmael. Some years ago")
    assert {name: metrics.counts[name] for name in ("docs_in", "docs_kept", "docs_rejected", "train_docs")} == {
        "docs_in": 4,
        "docs_kept": 3,
        "docs_rejected": 1,
        "train_docs": 1,
    }
    assert metrics.counts["rejected.overlap.test"] == 1
    assert metrics.headline == "2 -> 1 training documents (1 by overlap.test)"


def test_the_report_has_every_overlap_and_what_each_source_lost(seal: Seal, work, out: Path):
    half = f"{' '.join(ISHMAEL.split()[:35])} {ELLIOT}"
    metrics = work(sealed(seal, [ELLIOT, ISHMAEL, half, FALLS], [f"{MOON}{TOWER}{ISHMAEL}"]))
    found = report(out)
    assert metrics.counts["rejected.overlap.test"] == 2
    assert found["by_source"] == {
        "poems": {"docs_in": 2, "docs_kept": 1, "rejected": {"overlap.test": 1}},
        "s": {"docs_in": 3, "docs_kept": 2, "rejected": {"overlap.test": 1}},
    }
    (rule,) = found["rules"]
    # ISHMAEL has 58 words and so 46 n-grams, of which 21 are in its first 33 words: .457, in the tenth of 20 bins
    assert [index for index, count in enumerate(rule["counts"]) for _ in range(count)] == [0, 0, 9, 19, 19]
    assert (rule["threshold"], rule["direction"], len(rule["edges"])) == (0.5, "at_most", 21)


def test_validation_and_test_are_passed_on_byte_for_byte(seal: Seal, work, out: Path):
    splits = sealed(seal, [ELLIOT, ISHMAEL], validation=(ISHMAEL,))
    work(splits)
    for side in ("validation", "test"):
        assert contents(out / side) == contents(splits.folder / side)


def test_a_shard_without_contamination_is_passed_on_byte_for_byte(seal: Seal, work, out: Path):
    splits = sealed(seal, [ELLIOT], [ELLIOT, ISHMAEL])
    work(splits)
    assert contents(out / "train")["000000.arrow"] == contents(splits.folder / "train")["000000.arrow"]
    assert len(texts(out)) == 2


def test_only_the_outputs_are_left(seal: Seal, work, out: Path):
    work(sealed(seal, [ELLIOT, ISHMAEL]))
    assert set(contents(out)) == {
        "train/000000.arrow",
        "validation/000000.arrow",
        "test/000000.arrow",
        "rejected/000000.arrow",
        "report.json",
        "affected.jsonl",
    }


def test_capitals_punctuation_and_line_ends_hide_nothing(seal: Seal, work, out: Path):
    hidden = ISHMAEL.upper().replace(",", "\n").replace(".", " *** ")
    work(sealed(seal, [ELLIOT, f"{ELLIOT} {hidden}"]))
    assert texts(out) == [ELLIOT]


@pytest.mark.parametrize(("poem", "other"), [(MOON, FALLS), (FALLS, MOON)])
def test_a_chinese_poem_inside_english_text_is_found(seal: Seal, work, out: Path, poem: str, other: str):
    work(sealed(seal, [f"{ELLIOT}\n{poem}\n{ELLIOT}", other + TOWER], test=(poem,)))
    assert texts(out) == [other + TOWER]


def test_a_couplet_in_common_is_no_contamination(seal: Seal, work, out: Path):
    other = f"{FALLS[:16]}{TOWER}"
    work(sealed(seal, [other], test=(f"{FALLS}{MOON}{TOWER[:12]}",)))
    assert texts(out) == [other]


def test_the_evaluation_text_with_the_largest_overlap_is_named(seal: Seal, work, out: Path):
    work(sealed(seal, [ELLIOT, WENTWORTH], test=(f"{QUESTION} {WENTWORTH[40:]}",)))
    assert [row["rule"] for row in rows(out, "rejected")] == ["overlap.validation"]
    assert report(out)["sets"]["test"]["training_documents"] == 1


def test_a_paragraph_of_an_evaluation_text_counts_by_the_shorter_of_both(seal: Seal, work, out: Path):
    chapter = f"{LICENCE}\n\n{QUESTION}\n\n{ELLIOT}\n\n{LICENCE[::-1]}"
    work(sealed(seal, [ELLIOT, TOWER], test=(chapter,)))
    (gone,) = rows(out, "rejected")
    assert (gone["text"], gone["value"]) == (ELLIOT, 1.0)


def test_what_many_training_documents_have_is_a_common_phrase(seal: Seal, work, out: Path):
    many = [f"{LICENCE}\n\nNumber {n} of {QUESTION[:n]}" for n in range(11)]
    work(sealed(seal, many, test=(f"{LICENCE}\n\nCopyright by the authors of the test.",)))
    assert len(texts(out)) == 11
    assert report(out)["sets"]["test"]["common_phrases"] == 1
    assert report(out)["sets"]["test"]["common_examples"][0]["begins"] == f"{LICENCE} Copyright by the authors"[:160]


def test_without_a_limit_common_phrases_count(seal: Seal, work, out: Path):
    many = [f"{LICENCE}\n\nNumber {n}" for n in range(11)]
    work(sealed(seal, [*many, ELLIOT], test=(LICENCE,)), max_documents=None)
    assert texts(out) == [ELLIOT]


def test_a_short_question_is_compared_whole(seal: Seal, work, out: Path, tmp_path: Path):
    short = "Name the largest moon of Saturn, please, now."  # 8 words
    shorter = "Name the largest moon of Saturn, please."  # 7
    asked = evaluation_set(tmp_path / "quiz.jsonl", [{"text": short}, {"text": shorter}])
    kept = [ELLIOT, f"{ELLIOT} {shorter} {ELLIOT}"]
    work(sealed(seal, [*kept, f"{ELLIOT} {short} {ELLIOT}"]), evaluation_sets=(asked,))
    assert texts(out) == kept
    found = report(out)["sets"]["quiz"]
    assert (found["texts"], found["too_short"], found["found"], found["training_documents"]) == (2, 1, 1, 1)


def test_each_field_of_an_evaluation_set_is_compared_on_its_own(seal: Seal, work, out: Path, tmp_path: Path):
    asked = evaluation_set(tmp_path / "q.jsonl", [{"q": QUESTION, "context": FALLS, "id": ELLIOT}], "q", "context")
    work(sealed(seal, [ELLIOT, f"{QUESTION} {WENTWORTH[:60]}", f"{MOON}{FALLS}"]), evaluation_sets=(asked,))
    assert texts(out) == [ELLIOT]
    details = [row["detail"].partition(": ")[0] for row in rows(out, "rejected")]
    assert details == ["q.jsonl:1 q", "q.jsonl:1 context"]
    lines = (out / "affected.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"set": "quiz", "text": "q.jsonl:1 q", "documents": 1, "overlap": 1.0},
        {"set": "quiz", "text": "q.jsonl:1 context", "documents": 1, "overlap": 1.0},
    ]


def test_a_folder_of_files_is_a_set(seal: Seal, work, out: Path, tmp_path: Path):
    (tmp_path / "quiz").mkdir()
    (tmp_path / "quiz" / "a.txt").write_text(QUESTION)
    (tmp_path / "quiz" / "b.md").write_text(FALLS, encoding="utf-8")
    asked = EvaluationSetParams(name="quiz", path=str(tmp_path / "quiz"))
    work(sealed(seal, [ELLIOT, f"{ELLIOT} {QUESTION}", FALLS]), evaluation_sets=(asked,), held_out=False)
    assert texts(out) == [ELLIOT]
    assert [row["detail"].partition(":")[0] for row in rows(out, "rejected")] == ["a.txt", "b.md"]


def test_the_same_words_twice_are_one_text_of_a_set(seal: Seal, work, out: Path, tmp_path: Path):
    asked = evaluation_set(tmp_path / "q.jsonl", [{"text": QUESTION}, {"text": QUESTION.upper()}])
    work(sealed(seal, [ELLIOT, QUESTION + ELLIOT]), evaluation_sets=(asked,))
    found = report(out)["sets"]["quiz"]
    assert (found["texts"], found["repeated"], found["found"]) == (2, 1, 1)


def test_records_that_cannot_be_read_are_counted_and_told(seal: Seal, work, out: Path, tmp_path: Path, caplog):
    asked = evaluation_set(tmp_path / "q.jsonl", [{"text": QUESTION}, '{"text": ', {"text": None}])
    work(sealed(seal, [ELLIOT]), evaluation_sets=(asked,))
    assert report(out)["sets"]["quiz"]["unreadable"] == 2
    assert "quiz: 2 records cannot be read: q.jsonl:2 text: malformed_json" in caplog.text


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            [{"question": QUESTION}],
            r"'quiz' has no text to compare.*1 could not be read.*keys are question.*text_fields",
        ),
        ([{"text": "Yes."}], r"'quiz' has no text to compare: of 1 records 0 could not be read.*min_words"),
    ],
)
def test_a_set_of_which_nothing_can_be_compared_is_an_error(seal: Seal, work, tmp_path: Path, records, said: str):
    asked = evaluation_set(tmp_path / "q.jsonl", records)
    with pytest.raises(SourceError, match=said):
        work(sealed(seal, [ELLIOT]), evaluation_sets=(asked,))


def test_a_set_that_is_not_there_is_an_error(seal: Seal, work, tmp_path: Path):
    splits = sealed(seal, [ELLIOT])
    with pytest.raises(SourceError, match=r"'quiz'.*nowhere does not exist"):
        work(splits, evaluation_sets=(EvaluationSetParams(name="quiz", path=str(tmp_path / "nowhere")),))
    without = EvaluationSetParams(name="quiz", path=str(tmp_path), include=("**/*.csv",))
    with pytest.raises(SourceError, match=r"no file in .* matches \*\*/\*\.csv"):
        work(splits, evaluation_sets=(without,))


def test_what_a_set_holds_makes_it_run_again_and_where_it_lies_does_not(seal: Seal, run: Run, tmp_path: Path):
    splits = sealed(seal, [ELLIOT])

    def fingerprint(asked: EvaluationSetParams, **params: Any) -> str:
        return decontaminate.recipe(DecontaminateParams(evaluation_sets=(asked,), **params), (splits,), run).fingerprint

    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = evaluation_set(tmp_path / "here" / "q.jsonl", [{"text": QUESTION}])
    there = evaluation_set(tmp_path / "there" / "q.jsonl", [{"text": QUESTION}])
    assert fingerprint(here) == fingerprint(there)
    assert fingerprint(here) != fingerprint(here, min_overlap=0.6)
    assert fingerprint(here) != fingerprint(here.model_copy(update={"text_fields": ("question",)}))
    evaluation_set(tmp_path / "there" / "q.jsonl", [{"text": QUESTION + " Say why."}])
    assert fingerprint(here) != fingerprint(there)


def test_passages_are_cut_with_a_margin_and_kept_beside(seal: Seal, work, out: Path):
    document = f"{ELLIOT} {'x' * 40} {ISHMAEL} {'y' * 40} {ELLIOT[::-1]}"
    metrics = work(sealed(seal, [document]), action="span", margin_characters=20)
    (kept,), cuts = rows(out, "train"), rows(out, "cuts")
    # 20 characters before "Call": a space and 19 x; after "circulation": a full stop, a space and 18 y
    assert kept["text"] == f"{ELLIOT} {'x' * 21}\n\n{'y' * 22} {ELLIOT[::-1]}"
    assert [row["text"] for row in cuts] == [f"{'x' * 19} {ISHMAEL} {'y' * 18}"]
    assert (cuts[0]["rule"], cuts[0]["id"]) == ("overlap.test", kept["id"])
    assert (metrics.counts["docs_rejected"], metrics.counts["passages_cut"]) == (0, 1)


def test_a_document_of_which_no_piece_is_left_goes_whole(seal: Seal, work, out: Path):
    work(sealed(seal, [ELLIOT, f"So it begins: {ISHMAEL} And so on."]), action="span")
    assert (texts(out), texts(out, "cuts")) == ([ELLIOT], [])
    assert texts(out, "rejected") == [f"So it begins: {ISHMAEL} And so on."]


def test_a_document_in_too_many_pieces_goes_whole(seal: Seal, work, out: Path):
    patchwork = " ".join(f"{ELLIOT} {ISHMAEL}" for _ in range(4))
    params = {"action": "span", "margin_characters": 0, "max_pieces": 3}
    work(sealed(seal, [ELLIOT, patchwork]), **params)
    assert texts(out, "rejected") == [patchwork]


def test_a_threshold_of_zero_is_any_ngram(seal: Seal, work, out: Path):
    thirteen = " ".join(ISHMAEL.replace(" - ", " ").split()[20:33])
    twelve = " ".join(thirteen.split()[:12])
    work(sealed(seal, [ELLIOT, f"{ELLIOT} {thirteen}", f"{ELLIOT} {twelve}"]), min_overlap=0)
    assert texts(out) == [ELLIOT, f"{ELLIOT} {twelve}"]


def test_test_documents_that_overlap_with_validation_are_told_and_stay(seal: Seal, work, out: Path):
    work(sealed(seal, [ELLIOT], validation=(f"{QUESTION} {ISHMAEL}",)))
    assert report(out)["test_in_validation"] == {
        "documents": 1,
        "examples": [{"test": f"{950:032x} s/p:950", "validation": f"{901:032x} s/p:901", "overlap": 1.0}],
    }
    assert texts(out, "test") == [ISHMAEL]


def test_with_nothing_to_look_for_all_is_passed_on(seal: Seal, work, out: Path):
    splits = sealed(seal, [ELLIOT, ISHMAEL], [WENTWORTH])
    metrics = work(splits, held_out=False)
    assert contents(out) == {name: data for name, data in contents(splits.folder).items() if name.endswith(".arrow")}
    assert (metrics.counts["docs_in"], metrics.counts["docs_rejected"], metrics.counts["train_docs"]) == (5, 0, 3)


def test_no_training_document_left_is_an_error_with_a_remedy(seal: Seal, work):
    with pytest.raises(SourceError, match=r"no training document is left of 2: 1 broke overlap\.test, 1 broke .*span"):
        work(sealed(seal, [ISHMAEL, WENTWORTH]))


@pytest.mark.parametrize("action", ["document", "span"])
def test_neither_workers_nor_an_interrupted_attempt_change_a_byte(seal: Seal, run: Run, tmp_path: Path, action):
    filler = [f"{ELLIOT} {ELLIOT[n:]}" for n in range(6)]
    shards = [[one, f"{one} {ISHMAEL} {one}", WENTWORTH if n % 2 else LICENCE] for n, one in enumerate(filler)]
    splits, params = sealed(seal, *shards, test=(MOON,)), DecontaminateParams(action=action)
    made, counts = [], []
    for workers in (1, 4):
        folder = tmp_path / f"out{workers}"
        folder.mkdir()
        run.settings = run.settings.model_copy(update={"workers": workers})
        counts.append(decontaminate.work(params, splits, out=folder, run=run).counts)
        made.append(contents(folder))
    assert made[0] == made[1]
    half = tmp_path / "out4"  # what a killed attempt leaves: some shards whole, some half written
    for name in [name for name in made[0] if name.endswith("1.arrow")] + ["report.json"]:
        (half / name).rename(half / f"{name}.tmp")
    again = decontaminate.work(params, splits, out=half, run=run)
    assert {name: data for name, data in contents(half).items() if not name.endswith(".tmp")} == made[0]
    assert again.counts == counts[0]


@pytest.mark.parametrize("text", ["", " ", "，。", "a" * 1_000_000, "磨" * 300_000])
def test_odd_documents_pass(seal: Seal, work, out: Path, text: str):
    work(sealed(seal, [ELLIOT, text], test=("，", "no")))
    assert texts(out) == [ELLIOT, text]


def test_parameters_that_cannot_be_are_refused():
    with pytest.raises(ValidationError, match=r"min_words 9 is more than ngram_words 8"):
        DecontaminateParams(ngram_words=8, min_words=9)
    for name in ("test", "quiz"):
        one = EvaluationSetParams(name=name, path="x")
        with pytest.raises(ValidationError, match=f"two evaluation sets are named {name}"):
            DecontaminateParams(evaluation_sets=(one, one))
