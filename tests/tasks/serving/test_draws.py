"""Many texts drawn together: the reference is each text's own sampler, which is that of the bundle's generate.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.serving.draws import choose
from tasks.serving.sampling import Rule, Sampler

RULES = st.builds(
    Rule,
    temperature=st.sampled_from([0.0, 0.6, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 5, 40, 10_000]),
    top_p=st.sampled_from([0.01, 0.5, 0.95, 1.0]),
    logit_bias=st.sampled_from([{}, {}, {3: 5.0}]),
    top_logprobs=st.sampled_from([None, 2]),
)


def samplers(rules):
    rows = enumerate(rules)
    return [Sampler(Rule(**{**vars(rule), "seed": 7, "index": row})) for row, rule in rows]


@settings(max_examples=40)
@given(st.lists(RULES, min_size=1, max_size=12), st.sampled_from([30, 96, 700]), st.integers(0, 2**32), st.booleans())
def test_each_text_gets_the_token_that_it_would_draw_alone(rules, width, seed, has_ties):
    random = np.random.default_rng(seed)
    together, alone = samplers(rules), samplers(rules)
    for _ in range(3):
        logits = random.normal(0, 3, (len(rules), width + 5)).astype(np.float32)[:, :width]
        if has_ties:
            logits = logits.round()
        assert choose(together, logits) == [one.choose(row) for one, row in zip(alone, logits, strict=True)]


def test_a_row_without_numbers_fails_and_takes_nothing_from_its_neighbours():
    logits = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    logits[2] = np.nan
    with pytest.raises(IndexError):
        choose(samplers([Rule(temperature=1.0, top_k=3)] * 6), logits)
