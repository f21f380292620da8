"""The encode stage: rows of every shape to packed blocks, the bad ones set aside with their place."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from params.encode import EncodeParams, ExamplesParams
from params.errors import SourceError
from params.load import EXAMPLES
from params.run import RunParams
from params.train import ModelParams
from params.train_tokenizer import TrainTokenizerParams
from tasks.artifacts.digest import digest_file
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.encode import encode, identity, side_of
from tasks.examples.conversations import Chat, Message
from tasks.examples.encoding import make_coder
from tasks.examples.held_out import read_chats
from tasks.model.build import build_model
from tasks.tokenizer.files import special_ids
from tasks.training.batch import IGNORED
from tasks.training.feeds import ExampleFeed
from tasks.training.objective import token_losses

CONTEXT = 96


@pytest.fixture(scope="module")
def chat_tokenizer(splits, world) -> Manifest:
    from tasks.train_tokenizer import train_tokenizer

    folder = world.store.root / "chat-tokenizer"
    folder.mkdir()
    train_tokenizer.work(TrainTokenizerParams(vocab_size=512, chat_template="auto"), splits, out=folder, run=world)
    return Manifest.pending("train_tokenizer").located(folder)


def encoded(
    out: Path, tokenizer: Manifest, run: Run, *sources: Path, objective: str = "instruct", **more: object
) -> Metrics:
    out.mkdir(parents=True, exist_ok=True)
    given = tuple(ExamplesParams(path=str(path)) for path in sources)
    params = EncodeParams(sources=given, objective=objective, context=CONTEXT, **{"validation": 0.2} | more)
    return encode.work(params, tokenizer, out=out, run=run)


def test_bad_rows_are_set_aside_with_file_line_and_reason(chat_tokenizer, run, tmp_path):
    good = [{"prompt": f"What is {n} and 磨坊?", "response": str(n)} for n in range(40)]
    lines = [json.dumps(row, ensure_ascii=False) for row in good]
    lines[3:3] = ["{broken", "", json.dumps({"prompt": "a"}), json.dumps({"prompt": "b", "response": "面" * 99})]
    (tmp_path / "chats.jsonl").write_text("\n".join(lines), encoding="utf-8")
    metrics = encoded(tmp_path / "out", chat_tokenizer, run, tmp_path / "chats.jsonl")
    counts = metrics.counts
    assert (counts["examples_in"], counts["examples_kept"], counts["examples_rejected"]) == (43, 40, 3)
    assert counts["train_examples"] + counts["validation_examples"] == 40
    told = [json.loads(line) for line in (tmp_path / "out/rejected/000000.jsonl").read_text().splitlines()]
    assert [(row["file"], row["line"], row["rule"]) for row in told] == [
        ("chats.jsonl", 4, "malformed_json"),
        ("chats.jsonl", 6, "no_answer"),
        ("chats.jsonl", 7, "too_long"),
    ]
    assert told[0]["row"] == "{broken"


def test_the_conversations_of_validation_are_kept_as_messages_of_preferences_with_the_chosen_answer(
    chat_tokenizer, run, tmp_path
):
    rows = [{"prompt": f"question {n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(30)]
    chats = [{"prompt": row["prompt"], "response": row["chosen"]} for row in rows]
    kept = {}
    for objective, told in (("preference", rows), ("instruct", chats)):
        path = tmp_path / f"{objective}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in told))
        metrics = encoded(tmp_path / objective, chat_tokenizer, run, path, objective=objective)
        kept[objective] = dict(read_chats(tmp_path / objective / "held_out.jsonl"))
        assert len(kept[objective]) == metrics.counts["validation_examples"] > 0
    assert kept["preference"] == kept["instruct"]
    for chat in kept["instruct"].values():
        number = chat.messages[0].content.removeprefix("question ")
        assert chat == Chat((Message("user", f"question {number}"), Message("assistant", f"good {number}")), (1,))


def test_files_of_every_kind_give_the_same_examples(chat_tokenizer, run, tmp_path):
    rows = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(30)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    made = []
    for path in sorted(tmp_path.glob("?.*")):
        encoded(tmp_path / "out" / path.name, chat_tokenizer, run, path)
        made.append(digest_file(tmp_path / "out" / path.name / "train" / "000000.arrow"))
    assert len(made) == 4
    assert len(set(made)) == 1


def test_the_number_of_workers_changes_no_byte(chat_tokenizer, run, tmp_path):
    paths = [EXAMPLES / "conversations.jsonl", EXAMPLES / "preferences.jsonl"]
    for workers in (1, 4):
        mine = Run(run.store, RunParams(workers=workers, threads=1), run.record)
        given = [paths[0]] * 3
        encoded(tmp_path / str(workers), chat_tokenizer, mine, *given, blocks_per_shard=16)
    names = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*") if path.is_file())
    assert len([name for name in names if name.parts[0] == "train"]) > 1
    for name in names:
        assert digest_file(tmp_path / "1" / name) == digest_file(tmp_path / "4" / name), name


@pytest.mark.parametrize("objective", ["instruct", "preference", "classify", "seq2seq"])
def test_the_coder_can_go_to_another_process(chat_tokenizer, objective):
    rows = [{"prompt": "a", "response": "b", "chosen": "b", "rejected": "c", "text": "a", "label": 1}]
    rows[0] |= {"source": "a", "target": "b"}
    coder = make_coder(objective, chat_tokenizer.folder, context=CONTEXT, truncate=False)
    (here,), (there,) = coder.encode(rows), pickle.loads(pickle.dumps(coder)).encode(rows)
    assert len(here.sides) == len(there.sides)
    for ours, theirs in zip(here.sides, there.sides, strict=True):
        assert ours.inputs.tolist() == theirs.inputs.tolist()
        assert ours.targets.tolist() == theirs.targets.tolist()


def test_a_question_is_on_one_side_of_the_split_whatever_the_answer(chat_tokenizer, run, tmp_path):
    params = EncodeParams(validation=0.5)
    sides = [side_of(f"user\0question {n}", params) for n in range(1000)]
    assert 430 < sides.count("validation") < 570  # 4.4 standard deviations of a fair coin
    assert [side_of(f"user\0question {n}", params) for n in range(1000)] == sides
    rows = [{"prompt": f"q{n % 20}", "response": f"answer {n}"} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = encoded(tmp_path / "out", chat_tokenizer, run, tmp_path / "a.jsonl").counts
    assert counts["train_examples"] % 2 == counts["validation_examples"] % 2 == 0


def test_a_packed_conversation_has_the_losses_that_it_has_alone(chat_tokenizer, run, tmp_path):
    encoded(tmp_path, chat_tokenizer, run, EXAMPLES / "conversations.jsonl")
    ids = special_ids(chat_tokenizer.folder)
    feed = ExampleFeed(sorted((tmp_path / "train").glob("*.arrow")), ids)
    rows = feed.read(np.arange(len(feed)), 0)
    block = int(np.argmax(rows[2].max(axis=1)))
    tokens, targets, segments = (array[block : block + 1] for array in rows)
    assert segments.max() >= 2
    cpu = torch.device("cpu")
    for architecture in ("qwen3", "gpt2", "bloom"):
        params = ModelParams(architecture=architecture, layers=2, width=32, heads=2)
        model = build_model(
            params, vocab_size=ids.vocab_size, context=CONTEXT, begin=ids.begin, end=ids.end, padding=1, seed=1
        )
        with torch.no_grad():
            for parameter in model.parameters():  # zero output projections would hide attention across documents
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            packed = token_losses(model, feed.batch((tokens, targets, segments), cpu))
            for number in range(1, int(segments.max()) + 1):
                here = segments[0] == number
                alone = token_losses(model, feed.batch((tokens[:, here], targets[:, here], segments[:, here]), cpu))
                torch.testing.assert_close(packed[:, here], alone, rtol=1e-4, atol=1e-4)
    assert feed.count(rows) == np.count_nonzero(rows[1] != IGNORED)


def test_the_identity_is_what_the_files_hold(chat_tokenizer, run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    params = [EncodeParams(sources=(ExamplesParams(path=str(tmp_path / name)),)) for name in ("one", "two")]
    assert identity(params[0], run) == identity(params[1], run)
    (tmp_path / "two" / "a.jsonl").write_text('{"prompt": "a", "response": "c"}\n')
    assert identity(params[0], run) != identity(params[1], run)


def test_a_side_without_examples_is_told_with_the_reasons(chat_tokenizer, run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    with pytest.raises(SourceError, match=r"of 2 rows 0 can be used.*set aside were no_answer 2"):
        encoded(tmp_path / "out", chat_tokenizer, run, tmp_path / "a.jsonl")
    with pytest.raises(SourceError, match=r"nowhere.jsonl does not exist"):
        encoded(tmp_path / "out", chat_tokenizer, run, tmp_path / "nowhere.jsonl")
