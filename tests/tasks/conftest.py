"""A workshop for the tests of export, compress, release and register, and an S3 server on loopback."""

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import xxhash

from params.base import Params
from params.compress import CompressParams
from params.export import ExportParams
from params.gate import GateParams
from params.release import ReleaseParams
from params.run import RunParams
from tasks.artifacts.manifest import Manifest, Metrics, Timing, recipe_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.evaluation.documents import digest_documents
from tasks.registry.bundle import write_sums

TEXTS = [
    "The mill grinds the grain into flour, and the baker makes bread of it.",
    "To install the package, run pip install gristmill.",
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "The function returns a list of numbers.",
] * 4
CONTEXT = 64
WIDTH = 64
CLEAN = {"contamination": {"test": {"share": 0.0}}}
VARIANTS = ("int8", "int4", "int4_gptq", "int8_dynamic", "fp16", "bf16")
BEGIN, PADDING = "<|endoftext|>", "<|pad|>"
SAID = (("To install the package,", "run pip install gristmill."), ("The function returns", "a list of numbers."))
CHAT_LINES = [
    json.dumps({"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": say}], "answers": [1]})
    for ask, say in SAID
]
CHATS = {
    xxhash.xxh3_128_hexdigest(f"{line}\n".encode()): len(say) for line, (_, say) in zip(CHAT_LINES, SAID, strict=True)
}
"""Names of two held-out conversations, and the bytes of their answers."""


class Named(Params):
    """Stands for the parameters of an input that is made by hand."""

    name: str


class Workshop:
    """Sealed inputs of the release stages, each made once a session; nobody changes what lies there."""

    def __init__(self, root: Path) -> None:
        self.run = Run(Store(root / "store"), RunParams(workers=2, threads=1), RunRecord.begin("test", {}))
        self.graph = cache(self._graph)
        self.model = cache(self._model)
        self.variants = cache(self._variants)
        self.shards = cache(self._shards)

    def seal(
        self,
        stage: str,
        name: str,
        fill: Callable[[Path], object],
        inputs: dict[str, Manifest] | None = None,
        metrics: Metrics | None = None,
        *,
        volatile: tuple[str, ...] = ("logs/*",),
    ) -> Manifest:
        """Seal what fill(folder) leaves, once; a Metrics that it returns is the result's."""
        recipe = recipe_of(stage, 1, Named(name=name), inputs or {})
        if found := self.run.store.find(stage, recipe.fingerprint):
            return found
        with self.run.store.lock(recipe):
            if found := self.run.store.find(stage, recipe.fingerprint):  # another worker of the tests was first
                return found
            draft = self.run.store.draft(recipe, {})
            made = fill(draft)
            metrics = made if isinstance(made, Metrics) else metrics or Metrics()
            return self.run.store.seal(recipe, draft, metrics, timing=Timing(), made_by={}, volatile=volatile)

    def splits(self) -> Manifest:
        """Four test documents."""
        return self.seal("decontaminate", "splits", _write_splits)

    def examples(self) -> Manifest:
        """What is asked in CHATS, held out by the stage encode."""
        lines = "".join(f"{line}\n" for line in CHAT_LINES)
        return self.seal("encode", "examples", lambda folder: (folder / "held_out.jsonl").write_text(lines))

    def release_inputs(self, name: str, *, bits_per_byte: float) -> list[Manifest]:
        """Inputs of release for the qwen3 model, with an evaluation by hand."""
        files = self.seal("survey", "files", _write_files)
        documents = self.seal(
            "ingest", "documents", _nothing, {"files": files}, _counts(10, 9, {"rejected.file.empty": 1})
        )
        cleaned = self.seal(
            "clean", "cleaned", _nothing, {"documents": documents}, _counts(9, 7, {"rejected.words.min_words": 2})
        )
        unique = self.seal("dedup", "unique", _nothing, {"cleaned": cleaned}, _counts(7, 6, {"exact_duplicates": 1}))
        evaluation = self.seal("evaluate", name, lambda folder: self._write_evaluation(folder, bits_per_byte))
        made = (
            self.splits(),
            self.shards(),
            self.model("qwen3"),
            evaluation,
            self.graph("qwen3"),
            self.variants("qwen3"),
        )
        return [files, cleaned, unique, *made]

    def release(self, name: str, params: ReleaseParams, inputs: list[Manifest]) -> Manifest:
        """A sealed bundle."""
        from tasks.release import release

        def fill(out: Path) -> Metrics:
            return release.work(params, *inputs, out=out, run=self.run)

        return self.seal("release", name, fill, volatile=release.volatile)

    def _write_evaluation(self, out: Path, bits_per_byte: float) -> None:
        """Figures by hand, and the model's real losses on two documents."""
        import torch

        from tasks.evaluation.documents import same_documents
        from tasks.evaluation.losses import document_losses, write_losses
        from tasks.evaluation.trained_model import TrainedModel

        interval = {"bits_per_byte_low": bits_per_byte - 0.1, "bits_per_byte_high": bits_per_byte + 0.1}
        figures = {"loss": 1.5, "perplexity": 4.4817, "bits_per_byte": bits_per_byte, **interval}
        figures |= {"docs": 2, "targets": 40, "num_bytes": 100, "by_source": {}, "by_language": {}}
        (out / "evaluation.json").write_text(json.dumps({"validation": figures, "test": figures} | CLEAN))
        model = TrainedModel(self.model("qwen3").folder / "model", threads=1, device=torch.device("cpu"))
        documents = same_documents(self.splits().paths("test/*.arrow"), {"a": 1000, "b": 1000})
        write_losses(out / "documents" / "test.arrow", document_losses(model, documents, batch_tokens=64))

    def _model(self, architecture: str) -> Manifest:
        return self.seal("train", architecture, lambda folder: train_model(architecture, folder))

    def _shards(self) -> Manifest:
        tokenizer = load_tokenizer(self.model("qwen3").folder / "model")
        return self.seal("shard", "shards", lambda folder: write_shards(folder, tokenizer))

    def _graph(self, architecture: str) -> Manifest:
        from tasks.export import export

        params = ExportParams(check_blocks=2, greedy_tokens=16)
        inputs = (self.model(architecture), self.shards())
        return self.seal("export", architecture, lambda out: export.work(params, *inputs, out=out, run=self.run))

    def _variants(self, architecture: str) -> Manifest:
        from tasks.compress import compress

        params = CompressParams(variants=VARIANTS, check_blocks=2, greedy_tokens=16, max_loss_increase=0.5)
        inputs = (self.graph(architecture), self.shards())
        return self.seal("compress", architecture, lambda out: compress.work(params, *inputs, out=out, run=self.run))


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The workshop of this session, in one store for all workers of the tests: a graph is minutes of export."""
    folder = tmp_path_factory.getbasetemp()
    return Workshop((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "workshop")


class Judged:
    """A model that is judged by rows, trained here for seconds, and every stage after training, each once a session."""

    def __init__(self, workshop: Workshop, objective: str, file: str, train: Callable[..., Metrics]) -> None:
        self.workshop, self.run = workshop, workshop.run
        self.objective, self.file, self._train = objective, file, train
        self.model, self.graph = cache(self._model), cache(self._graph)
        self.variants, self.evaluation = cache(self._variants), cache(self._evaluation)

    def examples(self, salt: str = "gristmill") -> Manifest:
        """Examples that come with the package; the salt decides which of them are held out."""
        from params.encode import EncodeParams, ExamplesParams
        from params.load import EXAMPLES
        from tasks.encode import encode

        sources = (ExamplesParams(path=str(EXAMPLES / self.file)),)
        params = EncodeParams(sources=sources, objective=self.objective, context=CONTEXT, validation=0.3, salt=salt)
        tokenizer = self.workshop.seal("train_tokenizer", "judged", lambda out: train_tokenizer(out / "made"))
        made = tokenizer.located(tokenizer.folder / "made")
        name = f"{self.objective}-{salt}"
        return self.workshop.seal("encode", name, lambda out: encode.work(params, made, out=out, run=self.run))

    def train(self, out: Path, steps: int = 60, **options: object) -> Metrics:
        """A model trained on the rows that are not held out."""
        from params.load import EXAMPLES

        held_out = (self.examples().folder / "held_out.jsonl").read_text().splitlines()
        lines = (EXAMPLES / self.file).read_text().splitlines()
        rows = [row for row in map(json.loads, lines) if json.dumps(row, ensure_ascii=False) not in held_out]
        return self._train(rows, out, steps, **options)

    def release(self, name: str, params: ReleaseParams, *, salt: str = "gristmill") -> Manifest:
        """A sealed bundle."""
        from tasks.release import release

        files = self.workshop.seal("survey", "files", _write_files)
        made = (self.model(), self.evaluation(salt), self.graph(), self.variants())
        named = dict(zip(("model", "evaluation", "graph", "variants"), made, strict=True))
        inputs = (files, files, files, self.workshop.splits(), self.workshop.shards(), *made, self.examples(salt))
        return self.workshop.seal(
            "release",
            f"{self.objective}-{name}",
            lambda out: release.work(params, *inputs, out=out, run=self.run),
            {"files": files, **named, "examples": self.examples(salt)},
            volatile=release.volatile,
        )

    def _model(self) -> Manifest:
        return self.workshop.seal("train", self.objective, self.train)

    def _graph(self) -> Manifest:
        from tasks.export import export

        inputs = (self.model(), self.workshop.shards(), self.examples())
        work = partial(export.work, ExportParams(check_blocks=2, greedy_tokens=16), *inputs, run=self.run)
        return self.workshop.seal("export", self.objective, lambda out: work(out=out))

    def _variants(self) -> Manifest:
        from tasks.compress import compress

        inputs = (self.graph(), self.workshop.shards(), self.examples())
        params = CompressParams(variants=("int8", "int4", "int8_dynamic", "fp16"), max_loss_increase=0.5)
        work = partial(compress.work, params, *inputs, run=self.run)
        return self.workshop.seal("compress", self.objective, lambda out: work(out=out))

    def _evaluation(self, salt: str = "gristmill") -> Manifest:
        from params.evaluate import EvaluateParams
        from tasks.evaluate import evaluate

        inputs = (self.model(), self.workshop.splits(), self.examples(salt))
        work = partial(evaluate.work, EvaluateParams(), *inputs, run=self.run)
        return self.workshop.seal("evaluate", f"{self.objective}-{salt}", lambda out: work(out=out))


@pytest.fixture(scope="session")
def labelled(workshop: Workshop) -> Judged:
    """The classifier of this session."""
    return Judged(workshop, "classify", "sentiment.jsonl", train_classifier)


@pytest.fixture(scope="session")
def paired(workshop: Workshop) -> Judged:
    """The encoder-decoder of this session."""
    return Judged(workshop, "seq2seq", "pairs.jsonl", train_pairs)


def train_pairs(rows: list[dict[str, str]], out: Path, steps: int) -> Metrics:
    """A small T5 in the layout of training; so many steps on some rows make its greedy choices clear."""
    import torch
    import transformers

    tokenizer = train_tokenizer(out / "model")
    config = transformers.T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=WIDTH,
        d_kv=16,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=1,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
        n_positions=CONTEXT,
    )
    model = _seeded(lambda: transformers.T5ForConditionalGeneration(config))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        chosen = [rows[place] for place in torch.randint(0, len(rows), (16,)).tolist()]
        read, wanted = (_padded(tokenizer, [row[key] for row in chosen], 1) for key in ("source", "target"))
        labels = wanted.masked_fill(wanted == 1, -100)
        model(input_ids=read, attention_mask=(read != 1).long(), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return _save(model, out, steps)


def train_classifier(rows: list[dict[str, str]], out: Path, steps: int, *, architecture: str = "qwen3") -> Metrics:
    """A transformers folder for sequence classification in the layout of training."""
    import torch
    import transformers

    tokenizer = train_tokenizer(out / "model")
    names = ["negative", "positive"]
    shared = {"vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    shared |= {"num_labels": 2, "id2label": dict(enumerate(names)), "label2id": {"negative": 0, "positive": 1}}
    kinds = {
        "qwen3": lambda: transformers.Qwen3Config(**shared, **_shape(WIDTH)),
        "llama": lambda: transformers.LlamaConfig(**shared, **_shape(WIDTH)),
        "gpt2": lambda: transformers.GPT2Config(**shared, n_positions=CONTEXT, n_embd=WIDTH, n_layer=2, n_head=4),
        "bloom": lambda: transformers.BloomConfig(**shared, hidden_size=WIDTH, n_layer=2, n_head=4),
    }
    model = _seeded(lambda: transformers.AutoModelForSequenceClassification.from_config(kinds[architecture]()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        chosen = [rows[place] for place in torch.randint(0, len(rows), (16,)).tolist()]
        tokens = _padded(tokenizer, [row["text"] for row in chosen])
        wanted = torch.tensor([names.index(row["label"]) for row in chosen])
        logits = model(input_ids=tokens, attention_mask=(tokens != 1).long()).logits
        torch.nn.functional.cross_entropy(logits, wanted).backward()
        optimizer.step()
        optimizer.zero_grad()
    return _save(model, out, steps)


def _seeded(make: Callable[[], Any]) -> Any:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return make()


def _padded(tokenizer: Any, texts: list[str], ends: int = 0) -> Any:
    """Token ids (batch, time), `ends` end tokens behind each text, filled up on the right."""
    import torch

    rows = [tokenizer.encode(text).ids + [0] * ends for text in texts]
    width = max(map(len, rows))
    return torch.tensor([[*row, *[1] * (width - len(row))] for row in rows])


def _save(model: Any, out: Path, steps: int) -> Metrics:
    model.save_pretrained(out / "model")
    stop = {"reason": f"{steps} steps", "rule": "max_steps", "verdict": "budget", "steps": steps, "tokens": steps * 512}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    (out / "stop.json").write_text(json.dumps(stop | {"parameters": parameters}))
    return Metrics(facts={"verdict": "budget"})


class Candidates:
    """`candidates(model, name, bits_per_byte)` registers a release whose served file is said to have these figures."""

    def __init__(self, workshop: Workshop, tracked: Run) -> None:
        self.workshop = workshop
        self.tracked = tracked

    def bundle(
        self,
        model: str,
        name: str,
        bits_per_byte: float,
        *,
        ids: tuple[str, ...] = ("a", "b"),
        failed: str = "",
        answers: dict[str, float] | None = None,
        template: str | None = None,
    ) -> tuple[Manifest, Manifest]:
        """A sealed release and the evaluation behind it; the losses are by hand, the files are real.

        `answers` are the nats of held-out conversations by name, which the served file reads with `template`.
        """
        inputs = self.workshop.release_inputs("any", bits_per_byte=1.5)
        whole = self.workshop.release("any", ReleaseParams(samples=(), gate=GateParams(max_loss_increase=0.5)), inputs)
        facts = {"gate": f"failed: {failed}" if failed else "passed"}

        def fill(out: Path) -> Metrics:
            copytree(whole.folder / "bundle", out / "bundle")
            _rewrite(out / "bundle", f"{model}-{name}", bits_per_byte, ids=ids, failed=failed, answers=answers)
            if template is not None:
                (out / "bundle" / "onnx" / "int8" / "chat_template.jinja").write_text(template)
            write_sums(out / "bundle")
            return Metrics(facts=facts)

        inputs_kept = {"splits": self.workshop.splits()}
        if answers is not None:
            inputs_kept["examples"] = self.workshop.examples()
        made = self.workshop.seal("release", f"{model}-{name}", fill, inputs_kept)
        return made, inputs[6]

    def __call__(self, model: str, name: str, bits_per_byte: float, **changes):
        from tasks.register import _register

        released, evaluation = self.bundle(model, name, bits_per_byte, **changes)
        return _register(ReleaseParams(model_name=model, samples=()), released, evaluation, run=self.tracked)


@pytest.fixture(scope="session")
def tracked(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The workshop's run with an MLflow of its own, on sqlite."""
    from tasks.tracking import start_tracker

    root = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    tracker = start_tracker(uri, experiment="e", run_name="r", artifact_root=root / "files")
    return Run(workshop.run.store, workshop.run.settings, workshop.run.record, tracker=tracker)


@pytest.fixture(scope="session")
def candidate(workshop: Workshop, tracked: Run) -> Candidates:
    """Releases and registers."""
    return Candidates(workshop, tracked)


def train_model(architecture: str, out: Path, *, width: int = WIDTH, tied: bool = True, steps: int = 120) -> Metrics:
    """A transformers folder and stop.json; so many steps on a few sentences make its greedy choices clear."""
    import torch
    import transformers

    folder = out / "model"
    tokenizer = train_tokenizer(folder)
    shared = {"vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    config = {
        "qwen3": lambda: transformers.Qwen3Config(**shared, **_shape(width), tie_word_embeddings=tied),
        "llama": lambda: transformers.LlamaConfig(**shared, **_shape(width), tie_word_embeddings=tied),
        "gpt2": lambda: transformers.GPT2Config(
            **shared, n_positions=CONTEXT, n_embd=width, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
        ),
        "bloom": lambda: transformers.BloomConfig(**shared, hidden_size=width, n_layer=2, n_head=4),
    }[architecture]()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_config(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    stream = torch.tensor(token_stream(tokenizer))
    for _ in range(steps):
        starts = torch.randint(0, len(stream) - CONTEXT, (8,))
        batch = torch.stack([stream[start : start + CONTEXT] for start in starts])
        logits = model(input_ids=batch).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    stop = {"reason": f"{steps} steps", "rule": "max_steps", "verdict": "budget", "steps": steps, "tokens": steps * 512}
    (out / "stop.json").write_text(json.dumps(stop | {"parameters": parameters}))
    return Metrics(facts={"verdict": "budget"})


def train_tokenizer(folder: Path):
    """A byte-level BPE tokenizer of a few hundred entries."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[BEGIN, PADDING], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": BEGIN,
        "pad_token": PADDING,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer


def load_tokenizer(folder: Path):
    """The tokenizer of a transformers folder."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def token_stream(tokenizer) -> list[int]:
    """BOS d1 BOS d2 … BOS."""
    return [token for text in TEXTS for token in (0, *tokenizer.encode(text).ids)] + [0]


def write_shards(out: Path, tokenizer) -> Metrics:
    """The same text to train on and to test, as blocks of CONTEXT + 1 tokens, the last one filled up with padding."""
    stream = np.array(token_stream(tokenizer), dtype=np.uint16)
    padded = np.pad(stream, (0, -(len(stream) - 1) % CONTEXT), constant_values=1)
    blocks = np.stack([padded[start : start + CONTEXT + 1] for start in range(0, len(padded) - 1, CONTEXT)])
    column = pa.FixedSizeListArray.from_arrays(pa.array(blocks.reshape(-1)), CONTEXT + 1)
    for split in ("train", "validation", "test"):
        _write_table(out / split / "000000.arrow", pa.table({"input_ids": column}))
    names = [f"{split}_{what}" for split in ("train", "validation", "test") for what in ("docs", "tokens")]
    return Metrics(counts=dict.fromkeys(names, 6))


def _shape(width: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": CONTEXT,
    }


def _write_files(out: Path) -> None:
    lines = [
        {"source": "guides", "path": f"{name}.txt", "size_bytes": size, "sha256": "0" * 64}
        for name, size in (("a", 100), ("b", 23))
    ]
    (out / "files.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"name": "guides", "python": "docstrings", "text_field": "text", "license": "CC-BY-4.0"}
    (out / "sources.jsonl").write_text(json.dumps(source) + "\n")


def _write_splits(out: Path) -> None:
    unknown = pa.nulls(4, pa.string())
    texts, languages = pa.array(TEXTS[:4], pa.large_string()), ["en", "en", "zh", None]
    columns = [list("abcd"), ["guides"] * 4, ["x"] * 4, [0] * 4, texts, unknown, languages]
    with shard_writer(out / "test" / "000000.arrow", DOCUMENT) as writer:
        writer.write_batch(pa.record_batch(columns, schema=DOCUMENT))


def _rewrite(
    bundle: Path,
    name: str,
    bits_per_byte: float,
    *,
    ids: tuple[str, ...],
    failed: str,
    answers: dict[str, float] | None,
) -> None:
    """Give a bundle the losses of a model that predicts every document equally well."""
    sizes = [len(TEXTS["abcd".index(doc)].encode()) for doc in ids]
    nats = [bits_per_byte * math.log(2) * size for size in sizes]
    columns = {"id": ids, "source": ids, "language": ids, "nats": nats, "num_bytes": sizes, "num_targets": sizes}
    _write_table(bundle / "test_losses.arrow", pa.table({column: list(values) for column, values in columns.items()}))
    facts = json.loads((bundle / "bundle.json").read_text())
    facts |= {"name": name, "bits_per_byte": bits_per_byte, "test_digest": digest_documents(ids, sizes)}
    if answers is not None:
        names, sizes = list(answers), [CHATS[chat] for chat in answers]
        columns = {"id": names, "source": names, "language": names, "nats": list(answers.values())}
        _write_table(bundle / "answer_losses.arrow", pa.table({**columns, "num_bytes": sizes, "num_targets": sizes}))
        bits = sum(answers.values()) / sum(sizes) / math.log(2)
        facts |= {"answers_bits_per_byte": bits, "answers_digest": digest_documents(names, sizes)}
    (bundle / "bundle.json").write_text(json.dumps(facts))
    gate = json.loads((bundle / "gate.json").read_text())
    if failed:
        gate["checks"].append({"name": failed, "value": 9.0, "limit": "at most 1", "passed": False})
    (bundle / "gate.json").write_text(json.dumps(gate | {"passed": not failed}))


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _counts(docs_in: int, docs_kept: int, reasons: dict[str, int]) -> Metrics:
    return Metrics(counts={"docs_in": docs_in, "docs_kept": docs_kept, "docs_rejected": docs_in - docs_kept, **reasons})


def _nothing(out: Path) -> None:
    """Leave an empty result."""


def _kill_the_rank_at(out: Path, step: int) -> threading.Thread:
    """Kill the training process, without a chance to clean up, once its curve has reached a step."""

    def watch() -> None:
        deadline = time.monotonic() + 1800
        curve = out / "logs" / "metrics.jsonl"
        while time.monotonic() < deadline:
            lines = curve.read_text().splitlines() if curve.exists() else []
            if lines and json.loads(lines[-1])["step"] >= step:
                for child in psutil.Process().children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        line = child.cmdline()
                        if "tasks.training.worker" in line and "tasks.training.agent" not in line:
                            child.kill()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture
def kill_the_rank_at() -> Callable[[Path, int], threading.Thread]:
    """`kill_the_rank_at(out, step)`: see above."""
    return _kill_the_rank_at


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of an empty S3 server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A client of the server, with the bucket `corpus`; the environment holds its credentials."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket="corpus")
    yield client
    for item in client.list_objects_v2(Bucket="corpus").get("Contents", []):
        client.delete_object(Bucket="corpus", Key=item["Key"])
    client.delete_bucket(Bucket="corpus")
    client.close()
