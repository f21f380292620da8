"""Lines of the model card that depend on what happened (the rest is tested with a whole release)."""

import pytest

from tasks.registry.card import Story, model_card, readme

FIGURES = {
    "docs": 2, "bits_per_byte": 1.5, "bits_per_byte_low": 1.4, "bits_per_byte_high": 1.6, "loss": 2.0,
    "perplexity": 7.39,
}  # fmt: skip
LOSSES = {"loss_increase": 0.0, "kl": 0.0, "top1_agreement": 1.0, "greedy_agreement": 1.0}


@pytest.fixture
def story():
    by_source = {"web": {"bits_per_byte": 1.75}, "books": {"bits_per_byte": 1.25}}
    return Story(
        name="mill",
        served="int8",
        config={"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 64, "vocab_size": 400},
        stop={"parameters": 1_234_567, "tokens": 1000, "steps": 5, "rule": "patience", "reason": "r", "verdict": "v"},
        evaluation={"validation": FIGURES, "test": {**FIGURES, "by_source": by_source}},
        quality={"fp32": {"bytes": 9, **LOSSES}, "int4": {"bytes": 3, **LOSSES, "rejected": "too bad"}},
        sources=[{"name": "web", "license": "unknown", "files": 3, "bytes": 4_000}],
        results=[],
        gate=[],
        samples=[{"prompt": "# not a heading", "continuation": "\n# nor this"}],
    )


@pytest.mark.parametrize(
    "line",
    [
        "A gpt2 language model of 1,234,567 parameters, trained from scratch on 1,000 tokens; 1.5000 bits per byte "
        "on held-out text.",
        "| web | unknown | 3 | 4,000 |",
        "- The licence of some sources is unknown; settle that before you pass the model on.",
        "Test bits per byte by source: books 1.2500, web 1.7500",
        "| int4 (not kept) | 3 | +0.0000 | 0.00e+00 | 100.0% | 100.0% |",
        "- It reads at most 64 tokens at once, prompt and continuation together.",
        "    # nor this",
    ],
)
def test_the_card_says(story, line):
    assert line in model_card(story).splitlines()


def test_the_readme_is_short_and_shows_how_to_run(story):
    text = readme(story)
    assert 'python generate.py "your prompt"' in text
    assert "gristmill pull mill@champion" in text
    assert len(text.splitlines()) < 40
