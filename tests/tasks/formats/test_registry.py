"""The registry: what a name says, and that the patterns of a source ask for the same files."""

import pytest

from params.survey import DEFAULT_INCLUDE
from tasks.files.patterns import compile_patterns
from tasks.formats.compression import CODECS
from tasks.formats.registry import ARCHIVES, READERS, SHORT_ENDINGS, format_of

ENDINGS = [*READERS, ".tar"]
NAMES = [*(f"{ending}{packed}" for ending in ENDINGS for packed in ("", *CODECS)), ".zip", *SHORT_ENDINGS]


@pytest.mark.parametrize("ending", NAMES)
def test_what_can_be_read_is_asked_for_by_default_and_the_other_way_round(ending: str):
    accepted = compile_patterns(DEFAULT_INCLUDE)
    for name in (f"x{ending}", f"a/b.c/x{ending}"):
        assert accepted.fullmatch(name)
        assert format_of(name).is_known


@pytest.mark.parametrize("name", ["x.py", "x.png", "LICENSE", "x", "x.gz", "x.jsonl.zip.gz.part", "txt"])
def test_what_is_not_known_is_not_asked_for(name: str):
    assert not compile_patterns(DEFAULT_INCLUDE).fullmatch(name)
    assert not format_of(name).is_known


def test_the_default_patterns_name_nothing_that_cannot_be_read():
    alternatives = {"." + name for pattern in DEFAULT_INCLUDE for name in _first_group(pattern)}
    assert alternatives == {*READERS, *ARCHIVES, *SHORT_ENDINGS}


def _first_group(pattern: str) -> list[str]:
    flat = pattern.replace("{,.gz,.bz2,.xz,.zst}", "")
    return flat.removeprefix("**/*.{").removesuffix("}").split(",")


def test_capitals_make_no_difference_and_short_endings_stand_for_two():
    assert format_of("X.JSONL.GZ") == format_of("x.jsonl.gz")
    assert format_of("x.tgz") == format_of("x.tar.gz")
    assert format_of("x.tzst").codec is CODECS[".zst"]
