"""Lines of the model card that depend on what happened (the rest is tested with a whole release)."""

import dataclasses

import pytest
import yaml
from huggingface_hub import ModelCard

from params.run import RunParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.registry.card import model_card, readme
from tasks.registry.story import Story
from tasks.report.expenditure import expenditure

FIGURES = {
    "docs": 2, "bits_per_byte": 1.5, "bits_per_byte_low": 1.4, "bits_per_byte_high": 1.6, "loss": 2.0,
    "perplexity": 7.39,
}  # fmt: skip
LOSSES = {"loss_increase": 0.0, "kl": 0.0, "top1_agreement": 1.0, "greedy_agreement": 1.0}


def result(stage, tmp_path, params=None, **metrics):
    made = Manifest(
        stage=stage, version=1, fingerprint="f", digest="d", params=params or {}, inputs={}, files=(),
        metrics=Metrics(**metrics),
    )  # fmt: skip
    return made.located(tmp_path)


@pytest.fixture
def story(tmp_path):
    by_source = {"web": {"bits_per_byte": 1.75}, "books": {"bits_per_byte": 1.25}}
    counts = {"docs_in": 10, "docs_kept": 7, "docs_rejected": 3, "rejected.words.min_words": 2, "rejected.language": 1}
    trained = result(
        "train",
        tmp_path,
        {"batch_blocks": 2},
        counts={"tokens": 1000, "parameters": 1_234_567, "steps": 5},
        values={"training_s": 7200.0},
        facts={"device": "cpu:0", "threads": "4", "ranks": "2", "hardware": "A processor, 8 cores"},
    )
    return Story(
        name="mill",
        served="int8",
        config={"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 64, "vocab_size": 400},
        stop={"parameters": 1_234_567, "tokens": 1000, "steps": 5, "rule": "patience", "reason": "r", "verdict": "v"},
        evaluation={
            "validation": FIGURES,
            "test": {**FIGURES, "by_source": by_source},
            "bias": {"pairs": 40, "preferred": 0.55, "preferred_low": 0.4, "preferred_high": 0.7},
        },
        quality={"fp32": {"bytes": 9, **LOSSES}, "int4": {"bytes": 3, **LOSSES, "rejected": "too bad"}},
        sources=[{"name": "web", "license": "unknown", "digest": "ab" * 32, "files": 3, "bytes": 4_000}],
        results=[result("clean", tmp_path, {"privacy": {"email": "replace"}}, counts=counts), trained],
        gate=[],
        samples=[{"prompt": "# not a heading", "continuation": "\n# nor this\x0b```"}],
        cleaned={"personal_data": {"email": 12}},
        languages={"en": 0.75, "zh": 0.245, "fr": 0.005},
        scripts={"han": 0.25, "other": 0.75},
        curve=[{"step": 5, "tokens": 1000, "loss": 2.5, "val_loss": 2.25}],
        taken=expenditure([trained], RunParams(price_per_hour=3)),
    )


@pytest.mark.parametrize(
    "line",
    [
        "A gpt2 language model of 1,234,567 parameters, trained from scratch on 1,000 tokens; 1.5000 bits per byte "
        "on held-out text.",
        "| web | unknown | 3 | 4,000 | `abababababababab` |",
        "| clean | 10 | 7 | 3 | 2 words.min_words, 1 language |",
        "- The licence of some sources is unknown; settle that before you pass the model on.",
        "| books | 1.25 |",
        "| test | 2 | 1.5000 (1.4000 to 1.6000) | 2.0000 | 7.3900 |",
        "| preferred | 0.55 (0.4 – 0.7) |",
        "| int4 (not kept) | 3 | +0.0000 | 0.00e+00 | 100.0% | 100.0% |",
        "- It reads at most 64 tokens at once, prompt and continuation together.",
        "Languages by bytes: English 75.0 %, Chinese 24.5 %, fr 0.5 %",
        "| 5 | 1,000 | 2.5000 | 2.2500 |",
        "- hardware: 2 x A processor, 8 cores, 4 threads",
        "- time: 2 h 0 min",
        # 2 ranks of 4 threads at 12 W for two hours
        "- energy, estimated: 0.192 kWh, 96 W (assumed: 12 W a thread (Lannelongue et al. 2021); set run.watts to say "
        "better)",
        "- cost, estimated: 6, 3 / h (run.price_per_hour)",
        "    # nor this",
        "    ```",
    ],
)
def test_the_card_says(story, line):
    assert line in model_card(story).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "gpt2 语言模型，参数量 1,234,567，从头训练，训练词元 1,000；留出文本上每字节 1.5000 比特。",
        "| clean（清洗） | 10 | 7 | 3 | 2 words.min_words, 1 language |",
        "- 提示与续写合计最多 64 词元。",
        "- 费用（估计）：6, 3 / h（run.price_per_hour）",
        "| 测试集 | 2 | 1.5000 (1.4000 to 1.6000) | 2.0000 | 7.3900 |",
    ],
)
def test_the_chinese_card_says(story, line):
    assert line in model_card(story, "zh").splitlines()


def test_both_cards_tell_the_same_numbers(story):
    """Whoever adds a fact to one adds it to the other: their tables and lists have the same length."""
    english, chinese = (model_card(story, language).splitlines() for language in ("en", "zh"))
    assert len(english) == len(chinese)
    assert [line[:1] for line in english if line[:1] in "|#-`"] == [line[:1] for line in chinese if line[:1] in "|#-`"]


@pytest.fixture
def told(story, tmp_path):
    """A story of two phases, the second of which learned from examples."""
    facts = {"stop_rule": "max_steps", "stop_reason": "done", "hardware": "A processor"}
    counts = {"examples_in": 10, "train_examples": 7, "validation_examples": 2, "examples_rejected": 1}
    made = [
        result(
            "train.words", tmp_path, {"objective": "language_model"}, counts={"steps": 9, "tokens": 900}, facts=facts
        ),
        result("encode.labels", tmp_path, {"sources": [{"path": "cd" * 32}]}, counts=counts),
        result("train.labels", tmp_path, {"objective": "classify"}, counts={"steps": 5, "tokens": 1_000}, facts=facts),
    ]
    return dataclasses.replace(story, results=made)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "| labels | 10 | 7 | 2 | 1 | `cdcdcdcdcdcdcdcd` |"),
        ("en", "| words | language_model | 9 | 900 | max_steps: done |"),
        ("en", "| labels | classify | 5 | 1,000 | max_steps: done |"),
        ("en", "The curve of the phase labels:"),
        ("zh", "阶段 labels 的曲线："),
    ],
)
def test_a_card_of_several_phases_tells_each_and_its_examples(told, language, line):
    assert line in model_card(told, language).splitlines()


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ('python generate.py "your prompt"', 'prompt = tokenizer(tokenizer.bos_token + "your prompt"')),
        ({"chats": True}, ("tokenizer.apply_chat_template(asked, add_generation_prompt=True",)),
        (
            {
                "config": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
                "results": [Manifest.pending("drop_spans")],
            },
            ('python generate.py "your <extra_id_0> with a gap"', 'tokenizer("your <extra_id_0> with a gap"'),
        ),
    ],
)
def test_the_card_shows_how_to_use_a_model_of_its_kind(story, changes, lines):
    text = readme(dataclasses.replace(story, **changes))
    assert [line for line in lines if line not in text] == []


def test_the_tokens_of_all_phases_are_counted_in_both_cards_alike(told):
    assert "trained from scratch on 1,900 tokens" in model_card(told)
    test_both_cards_tell_the_same_numbers(told)


def test_the_hub_reads_the_head_with_its_figures(story):
    card = ModelCard(model_card(story))
    assert card.data.language == ["en", "zh"]
    assert card.data.license == "other"
    assert card.data.datasets == ["web"]
    assert card.data.pipeline_tag == "text-generation"
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found == {"bits_per_byte": 1.5, "loss": 2.0, "perplexity": 7.39}
    assert card.data.model_name == "mill"


def test_a_licence_that_is_given_stands_in_the_head(story):
    card = model_card(dataclasses.replace(story, license="apache-2.0"))
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["license"] == "apache-2.0"
    assert "license_name" not in head


def test_six_operations_a_parameter_and_token_are_counted_where_there_is_no_formula(story, tmp_path):
    """Kaplan et al. 2020: C = 6 N D."""
    assert story.taken.flops == 6 * 1_234_567 * 1000


def test_a_prompt_cannot_break_the_card(story):
    hostile = [{"prompt": "a | b\n<script>alert(1)</script>", "continuation": "x\u2028</pre>"}]
    card = model_card(dataclasses.replace(story, samples=hostile))
    assert "**a \\| b &lt;script>alert(1)&lt;/script>**" in card.splitlines()
    assert "<script>" not in card


def test_the_readme_is_short_and_shows_how_to_run(story):
    text = readme(story)
    assert 'python generate.py "your prompt"' in text
    assert "gristmill pull models:/mill@champion" in text
    assert len(text.splitlines()) < 50
