"""Training by every objective: what is learned, exact resume, and models that load as standard classes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from params.encode import EncodeParams, ExamplesParams
from params.errors import TrainingError
from params.load import EXAMPLES
from params.model import LoraParams
from params.run import RunParams
from params.shard import ShardParams
from params.stop import MetricParams, StopParams
from params.train import ModelParams, OptimizerParams, TrainParams
from params.train_tokenizer import SpecialTokensParams, TrainTokenizerParams
from params.watch import SamplesParams, WatchParams
from tasks.artifacts.digest import digest_file
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.encode import encode
from tasks.shard import shard
from tasks.train import train

CONTEXT = 96
WATCH = WatchParams(ceilings=False, samples=SamplesParams(max_tokens=4))
SETTINGS = RunParams(threads=1, compile=False, checkpoint_every_s=0.01, watch=WATCH)
BASE = TrainParams(
    model=ModelParams(layers=2, width=32, heads=2),
    batch_blocks=4,
    eval_every_steps=10,
    eval_blocks=8,
    record_every_steps=5,
    precision="fp32",
    stop=StopParams(max_steps=20),
)


@dataclass(frozen=True)
class School:
    """A tokenizer, and results made with it."""

    run: Run
    tokenizer: Manifest
    root: Path

    def examples(self, objective: str, file: str) -> Manifest:
        """Encoded examples that come with the package."""
        out = self.root / f"examples-{objective}"
        if not out.exists():
            out.mkdir()
            sources = (ExamplesParams(path=str(EXAMPLES / file)),)
            params = EncodeParams(sources=sources, objective=objective, context=CONTEXT)
            encode.work(params, self.tokenizer, out=out, run=self.run)
        return Manifest.pending(f"encode.{objective}").located(out)

    def train(
        self, name: str, params: TrainParams, shards: Manifest, start: Manifest | None = None, *, ranks: int = 1
    ) -> Manifest:
        """A trained model."""
        out = self.root / name
        out.mkdir()
        run = Run(self.run.store, SETTINGS.model_copy(update={"ranks": ranks}), self.run.record)
        made: Metrics = train.work(params, self.tokenizer, shards, start, out=out, run=run)
        return Manifest.pending(f"train.{name}").located(out).model_copy(update={"metrics": made})


@pytest.fixture(scope="module")
def school(splits, world, tmp_path_factory) -> School:
    from tasks.train_tokenizer import train_tokenizer

    root = tmp_path_factory.mktemp("school")
    (root / "tokenizer").mkdir()
    extra = SpecialTokensParams(extra=tuple(f"<extra_id_{number}>" for number in range(8)))
    params = TrainTokenizerParams(vocab_size=600, chat_template="chatml", special_tokens=extra)
    train_tokenizer.work(params, splits, out=root / "tokenizer", run=world)
    return School(world, Manifest.pending("train_tokenizer").located(root / "tokenizer"), root)


@pytest.fixture(scope="module")
def taught(school) -> Manifest:
    """A model that has learned some answers."""
    params = BASE.model_copy(update={"objective": "instruct", "stop": StopParams(max_steps=60)})
    return school.train("taught", params, school.examples("instruct", "conversations.jsonl"))


def losses(model: Manifest, name: str = "val_loss") -> list[float]:
    points = [json.loads(line) for line in (model.folder / "curve.jsonl").read_text().splitlines()]
    return [point[name] for point in points if name in point]


def test_answers_are_learned_and_the_model_stops_where_they_end(taught, school):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert losses(taught)[-1] < losses(taught)[0] - 1
    model = AutoModelForCausalLM.from_pretrained(taught.folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(taught.folder / "model")
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in model.generation_config.eos_token_id
    assert tokenizer.eos_token_id in model.generation_config.eos_token_id
    assert tokenizer.chat_template is not None


def test_answers_that_are_preferred_become_likelier_and_a_rule_can_stop_on_that(taught, school):
    rule = MetricParams(name="val_reward_accuracy", above=0.9)
    params = BASE.model_copy(
        update={
            "objective": "preference",
            "optimizer": OptimizerParams(name="adamw", lr=1e-3),
            "stop": StopParams(max_steps=200, metric=rule),
        }
    )
    tuned = school.train("preferring", params, school.examples("preference", "preferences.jsonl"), taught)
    assert tuned.metrics.facts["stop_rule"] == "metric"
    assert tuned.metrics.values["final_val_reward_accuracy"] >= 0.9
    assert tuned.metrics.values["final_val_reward_margin"] > 0
    assert losses(tuned)[-1] < 0.6931  # ln 2: the loss of a model that is its own reference


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft 0.21
@pytest.mark.parametrize(
    ("objective", "file"),
    [
        ("preference", "preferences.jsonl"),
        pytest.param("instruct", "conversations.jsonl", marks=pytest.mark.slow),
    ],
)
def test_adapters_on_the_phase_before_are_kept_and_merged_and_resume_exactly(
    taught, school, objective, file, kill_the_rank_at
):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = BASE.model.model_copy(update={"lora": LoraParams(rank=4)})
    params = BASE.model_copy(update={"objective": objective, "model": model})
    examples = school.examples(objective, file)
    whole = school.train(f"{objective}-whole", params, examples, taught)
    out = school.root / f"{objective}-killed"
    out.mkdir()
    run = Run(school.run.store, SETTINGS, school.run.record)
    killer = kill_the_rank_at(out, 10)
    with pytest.raises(TrainingError, match="SIGKILL"):
        train.work(params, school.tokenizer, examples, taught, out=out, run=run)
    killer.join()
    train.work(params, school.tokenizer, examples, taught, out=out, run=run)
    names = ("curve.jsonl", "stop.json", "model/model.safetensors", "adapter/adapter_model.safetensors")
    for name in names:
        assert digest_file(out / name) == digest_file(whole.folder / name), name
    base = AutoModelForCausalLM.from_pretrained(taught.folder / "model")
    adapted = PeftModel.from_pretrained(base, out / "adapter").merge_and_unload()
    merged = AutoModelForCausalLM.from_pretrained(out / "model")
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(adapted.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)


def test_a_classifier_of_the_standard_class_tells_labels_apart(taught, school):
    from transformers import pipeline

    stop = StopParams(max_steps=120, metric=MetricParams(name="val_macro_f1", above=0.9))
    params = BASE.model_copy(update={"objective": "classify", "stop": stop})
    made = school.train("classifying", params, school.examples("classify", "sentiment.jsonl"), taught)
    assert made.metrics.values["final_val_accuracy"] > 0.85
    assert made.metrics.facts["stop_rule"] == "metric"
    tell = pipeline("text-classification", str(made.folder / "model"), device="cpu")
    told = tell(["The garden was excellent.", "这次的电影令人失望。"])
    assert [one["label"] for one in told] == ["positive", "negative"]


def test_t5_learns_dropped_spans_and_then_pairs_of_texts(school, splits):
    from transformers import AutoModelForSeq2SeqLM

    t5 = BASE.model_copy(update={"model": ModelParams(architecture="t5", layers=2, width=32, heads=2)})
    spans = t5.model_copy(update={"objective": "span_corruption"})
    (school.root / "shards").mkdir()
    shard.work(ShardParams(context=CONTEXT), school.tokenizer, splits, out=school.root / "shards", run=school.run)
    pretrained = school.train("spans", spans, Manifest.pending("shard").located(school.root / "shards"))
    assert losses(pretrained)[-1] < losses(pretrained)[0]
    pairs = t5.model_copy(update={"objective": "seq2seq"})
    tuned = school.train("pairs", pairs, school.examples("seq2seq", "pairs.jsonl"), pretrained)
    assert losses(tuned)[-1] < losses(tuned)[0]
    assert 0 <= tuned.metrics.values["final_val_token_accuracy"] <= 1
    assert AutoModelForSeq2SeqLM.from_pretrained(tuned.folder / "model").config.model_type == "t5"


@pytest.mark.slow
def test_t5_from_scratch_learns_to_reverse_digits_that_it_has_not_seen(school):
    random = np.random.Generator(np.random.PCG64(1))
    digits = random.permutation(10_000)[:3_000]
    rows = [{"source": " ".join(f"{number:04d}"), "target": " ".join(f"{number:04d}"[::-1])} for number in digits]
    path = school.root / "digits.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = school.root / "examples-digits"
    out.mkdir()
    params = EncodeParams(sources=(ExamplesParams(path=str(path)),), objective="seq2seq", context=CONTEXT)
    encode.work(params, school.tokenizer, out=out, run=school.run)
    stop = StopParams(max_steps=1_500, metric=MetricParams(name="val_exact_match", above=0.9))
    model = ModelParams(architecture="t5", layers=2, width=64, heads=2)
    learning = {"model": model, "objective": "seq2seq", "stop": stop, "eval_every_steps": 50, "batch_blocks": 8}
    made = school.train("digits", BASE.model_copy(update=learning), Manifest.pending("encode.digits").located(out))
    # one in ten thousand would be right by chance, and no number is on both sides of the split
    assert made.metrics.values["final_val_exact_match"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "file"), [("instruct", "conversations.jsonl"), ("preference", "preferences.jsonl")]
)
def test_neither_micro_batches_nor_ranks_change_what_is_learned_from_examples(taught, school, objective, file):
    params = BASE.model_copy(update={"objective": objective, "stop": StopParams(max_steps=4), "eval_every_steps": 4})
    found = []
    for name, micro, ranks in (("plain", None, 1), ("micro", 1, 1), ("ranks", None, 2)):
        mine = params.model_copy(update={"micro_blocks": micro})
        made = school.train(
            f"{objective}-{name}", mine, school.examples(objective, file), taught, ranks=ranks
        )  # blocks differ in how many targets they have, so that a mean of means would be another loss
        found.append(made.metrics.values["final_val_loss"])
    assert found[1:] == pytest.approx([found[0]] * 2, rel=5e-4)
