"""Named sets of the quality filters: what `clean.preset` turns on.

A section that stands here without a value has the defaults of its model in params/clean.py, where the source of each
threshold is named; the comments here name the sources of the others.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

FAMILIES = (
    "repetition",
    "repetition_unspaced",
    "words",
    "characters",
    "lines",
    "c4",
    "fineweb",
    "fineweb_unspaced",
)

_OFF_LINES = {"max_symbols_per_word": None, "max_bullet_lines": None, "max_ellipsis_lines": None}
_OFF_NGRAMS: dict[str, Any] = {"max_top_ngram": None, "max_duplicate_ngrams": None}
_OFF_PARAGRAPHS = {"max_duplicate_paragraphs": None, "max_duplicate_paragraph_characters": None}
_OFF_LINE_REPETITION = {"max_duplicate_lines": None, "max_duplicate_line_characters": None}

FILTER_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "gopher": {"repetition": {"count_single_ngrams": True}, "words": {}, "lines": {}},
    "c4": {"c4": {}},
    "fineweb": {"fineweb": {}},
    # FineWeb2, configs/cmn_Hani.yml and fineweb-2-pipeline.py. Its words are jieba's, ours are characters: 50 words
    # are 80 characters, .735 of the words have a letter where .83 of the characters are letters (the limit that decides
    # most often alike on technical Chinese), the mean length of a word (1 to 5) is not measured.
    "fineweb2-zh": {
        "repetition_unspaced": {**_OFF_PARAGRAPHS, "max_duplicate_line_characters": None},
        "characters": {"min_characters": 80, "max_characters": 160_000, "min_letters": 0.83, "min_stop_words": 2},
        "lines": {},
        "fineweb_unspaced": {},
    },
    # Chen et al. 2023, section 3.1.
    "chinese-web-text": {
        "repetition_unspaced": {
            **_OFF_PARAGRAPHS,
            **_OFF_LINE_REPETITION,
            "max_top_ngram": None,
            "max_duplicate_ngrams": {**dict.fromkeys((8, 10, 11, 14, 16)), 13: 0.5},
        },
        "characters": {"min_characters": 200, "max_characters": None, "min_letters": None, "min_unspaced": 0.3},
        "lines": {**_OFF_LINES, "min_mean_line_length": 10.0},
    },
    # Ours: documentation is full of punctuation and of phrases that come again (signatures, tables of parameters);
    # Gopher's limits are meant for pages of the web.
    "documentation": {
        "repetition": _OFF_NGRAMS,
        "repetition_unspaced": _OFF_NGRAMS,
        "words": {"min_alpha_words": 0.5},
        "characters": {},
        "lines": {},
    },
    # The Stack (lines and letters), the rest ours.
    "code": {
        "repetition": {**_OFF_NGRAMS, "max_duplicate_lines": 0.5, "max_duplicate_line_characters": 0.5},
        "words": {
            "min_words": 10,
            "min_mean_word_length": None,
            "max_mean_word_length": None,
            "min_alpha_words": None,
            "min_stop_words": None,
        },
        "lines": {**_OFF_LINES, "max_mean_line_length": 100.0, "max_line_length": 1000, "min_alphanumeric": 0.25},
    },
    # Ours: Gopher with room for formulas, whose words are single letters and signs.
    "math": {
        "repetition": {"max_duplicate_ngrams": {5: 0.3, 6: 0.28, 7: 0.26, 8: 0.24, 9: 0.22, 10: 0.2}},
        "repetition_unspaced": {},
        "words": {"min_mean_word_length": 2.0, "min_alpha_words": 0.4},
        "characters": {"min_letters": 0.4},
        "lines": {"max_symbols_per_word": None},
    },
}


def with_presets(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `clean` with the presets that they name beneath them; without any, as they are.

    Raises ValueError with the nearest name for a preset that does not exist.
    """
    named = given.get("preset")
    if not isinstance(named, str | list | tuple | None):
        raise ValueError(f"preset is {named!r}; it must be a name or a list of names: {', '.join(FILTER_PRESETS)}")
    names = (named,) if isinstance(named, str) else tuple(named or ())
    if not names:
        return dict(given)
    merged: dict[str, Any] = dict.fromkeys(FAMILIES)
    for layer in (*(_preset(name) for name in names), given):
        for section, rules in layer.items():
            both = isinstance(rules, Mapping) and isinstance(merged.get(section), Mapping)
            merged[section] = {**merged[section], **rules} if both else rules
    return merged


def _preset(name: Any) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in FILTER_PRESETS:
        close = get_close_matches(str(name), FILTER_PRESETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(FILTER_PRESETS)}"
        raise ValueError(f"no filter preset named {name!r}; {hint}")
    return FILTER_PRESETS[name]
