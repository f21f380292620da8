"""MinHash signatures against a plain Python reference and against exact Jaccard similarity."""

import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import DedupParams
from tasks.duplicates.signatures import Signatures, permutations, sign

MASK = (1 << 64) - 1
BASE = 0x9E3779B97F4A7C15
FNV_OFFSET = 0xCBF29CE484222325
SMALL = DedupParams(signature="2x2", shingle_words=3, shingle_characters=4)
PIECES = ["one", "Two", "Thirteen", "UPPER_CASE", "naïve", "𝒳", "三", "四", "五六", "e\u0301", "7", "_", "İ", "."]
TEXTS = st.lists(st.sampled_from([*PIECES, " ", "\n", "，"]) | st.characters(exclude_categories=["Cs"])).map("".join)


def signed(*texts: str, params: DedupParams = SMALL) -> Signatures:
    return sign(pa.array(texts, pa.large_string()), params)


def is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Pc"


def is_unspaced(text: str) -> bool:
    """Enough for the pieces above: Han against everything else."""
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    return bool(letters) and sum("\u4e00" <= c <= "\u9fff" for c in letters) >= 0.3 * len(letters)


def lower(text: str) -> str:
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def tokens_of(text: str, *, single: bool) -> list[str]:
    spaced = "".join(c if is_word(c) else " " for c in lower(text))
    return [c for c in spaced if c != " "] if single else spaced.split(" ")


def shingles_of(text: str, params: DedupParams) -> list[tuple[str, ...]]:
    single = is_unspaced(text)
    size = params.shingle_characters if single else params.shingle_words
    tokens = [token for token in tokens_of(text, single=single) if token]
    if len(tokens) < size:
        return [tuple(tokens)] if tokens else []
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]


def mix(value: int) -> int:
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
    return value ^ (value >> 33)


def hash_of(shingle: tuple[str, ...], *, single: bool) -> int:
    """Polynomial of the hashes of its tokens, mixed; the upper 32 bits."""
    value = 0
    for token in shingle:
        value = (value * BASE + (mix(FNV_OFFSET ^ ord(token)) if single else hash_of_word(token))) & MASK
    return mix(value) >> 32


def hash_of_word(token: str) -> int:
    """Of its UTF-8, eight bytes at once, with 127 for the underscore."""
    state, data = FNV_OFFSET, token.encode().replace(b"_", b"\x7f")
    for at in range(0, len(data), 8):
        state = mix(state ^ int.from_bytes(data[at : at + 8], "little"))
    return state


def minima_of(text: str, params: DedupParams) -> list[int]:
    factors, addends = (values.tolist() for values in permutations(params.bands * params.rows, params.seed))
    single = is_unspaced(text)
    hashes = [hash_of(shingle, single=single) for shingle in shingles_of(text, params)]
    return [
        min([(factor * value + addend) & 0xFFFFFFFF for value in hashes], default=0xFFFFFFFF)
        for factor, addend in zip(factors, addends, strict=True)
    ]


def only_known_scripts(text: str) -> bool:
    return all(not unicodedata.category(c).startswith(("L", "M")) or c.isascii() or c in "".join(PIECES) for c in text)


@settings(deadline=None)
@given(st.lists(TEXTS.filter(only_known_scripts), max_size=4))
def test_signatures_equal_the_reference_on_any_text(texts):
    signatures = signed(*texts)
    assert signatures.num_shingles.tolist() == [len(shingles_of(text, SMALL)) for text in texts]
    assert signatures.minima.tolist() == [minima_of(text, SMALL) for text in texts]


def test_a_text_longer_than_the_blocks_of_the_kernel_equals_the_reference():
    text = " ".join(str(random.Random(1).randrange(500)) for _ in range(2500))
    assert signed(text).minima.tolist() == [minima_of(text, SMALL)]


@pytest.mark.parametrize("shared", [0.3, 0.65, 0.8, 0.95])
def test_the_share_of_equal_values_estimates_jaccard_similarity(shared):
    params = DedupParams(signature="256x16", shingle_words=1)
    draw = random.Random(int(shared * 100))
    one = [f"w{number}" for number in range(1000)]
    keep = round(1000 * 2 * shared / (1 + shared))
    other = draw.sample(one, keep) + [f"x{number}" for number in range(1000 - keep)]
    exact = len(set(one) & set(other)) / len(set(one) | set(other))
    first, second = signed(" ".join(one), " ".join(other), params=params).minima
    assert np.mean(first == second) == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 4096) ** 0.5)


def test_case_punctuation_and_white_space_do_not_count():
    first, second = signed("The cat, sat. On the MAT!", "the cat\nsat on -- the mat").minima.tolist()
    assert first == second


def test_chinese_is_compared_by_characters_whatever_its_punctuation():
    first, second, third = signed(
        "床前明月光，疑是地上霜。", "床前明月光\n疑是地上霜", "床前看月光，疑是地上霜"
    ).minima.tolist()
    assert first == second != third


def test_a_text_shorter_than_the_shingle_is_compared_whole():
    signatures = signed("one two", "ONE, two!", "two one", "one", "好", "好！")
    assert signatures.num_shingles.tolist() == [1] * 6
    same, equal, turned, part, good, very_good = signatures.minima.tolist()
    assert same == equal
    assert good == very_good
    assert len({tuple(minima) for minima in (same, turned, part, good)}) == 4


def test_a_text_without_words_has_no_signature():
    assert signed("", " \n", "-- !?").num_shingles.tolist() == [0, 0, 0]


def test_a_band_key_depends_on_the_rows_of_its_band_alone():
    signatures = signed(*(f"a b c d{number}" for number in range(200)))
    for band in range(2):
        rows = signatures.minima[:, 2 * band : 2 * band + 2].tolist()
        keys = signatures.bands[band].tolist()
        assert len(set(keys)) == len({tuple(row) for row in rows}) == len(set(zip(keys, map(tuple, rows), strict=True)))


def test_another_seed_draws_other_permutations():
    factors, addends = permutations(100, 1)
    assert (factors & 1).all()
    assert len(set(factors.tolist())) == len(set(addends.tolist())) == 100
    assert permutations(100, 2)[0].tolist() != factors.tolist()
