"""Full-width characters against str.translate."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.privacy.folding import fold, is_wide
from tasks.text.buffers import texts_of

NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
TEXTS = st.text(
    st.sampled_from("a1中，（１Ａｚ＠～＿｟ﾟ\uff00\uff5f\uffe5€🙂é") | st.characters(exclude_categories=["Cs"])
)


@settings(deadline=None)
@given(TEXTS)
def test_folding_is_translating_and_every_byte_knows_where_it_stood(text):
    raw = text.encode()
    texts, positions = fold(np.frombuffer(raw, np.uint8))
    assert texts.data.tobytes().decode() == text.translate(NARROW)
    assert len(positions) == texts.data.size + 1
    assert positions[-1] == len(raw)
    for at, place in enumerate(positions[:-1].tolist()):
        if raw[place] < 0x80 or texts.data[at] >= 0x80:
            assert texts.data[at] == raw[place]
        else:
            assert raw[place : place + 3].decode().translate(NARROW) == chr(texts.data[at])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＱＱ", True),
        ("１", True),
        ("ａ＠ｂ", True),
        ("＠", True),
        ("＋", True),
        ("，。（）！：", False),
        ("abc 中文 é €", False),
    ],
)
def test_only_texts_with_full_width_letters_digits_or_at_signs_are_wide(text, expected):
    texts = texts_of(pa.array(["plain", text, ""], pa.large_string()))
    assert is_wide(texts).tolist() == [False, expected, False]
