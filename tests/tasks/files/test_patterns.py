"""Globs agree with pathlib where it has the same feature, and braces are the union of their expansions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.errors import ParameterError
from tasks.files.patterns import compile_patterns

FILES = (
    "a.txt",
    "b.md",
    "LICENSE",
    "LICENSE.txt",
    ".hidden.txt",
    "x/a.txt",
    "x/y/a.txt",
    "x/y/z/ab.txt",
    "x/.git/c.txt",
    "x-1.0.dist-info/METADATA",
    "x-1.0.dist-info/licenses/LICENSE",
    "诗/静夜思.txt",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "*.txt",
        "**/*.txt",
        "x/*.txt",
        "x/**/*.txt",
        "*/a.txt",
        "**/a?.txt",
        "**/[ab].txt",
        "**/[!a].*",
        "*.dist-info/METADATA",
        "*.dist-info/**/*LICENSE*",
        "**/y/*.txt",
        "诗/*.txt",
        "a.txt",
        "**/*",
    ],
)
def test_a_pattern_matches_what_pathlib_matches(tree: Path, pattern: str):
    expected = {path.relative_to(tree).as_posix() for path in tree.glob(pattern) if path.is_file()}
    assert expected
    assert {name for name in FILES if compile_patterns([pattern]).fullmatch(name)} == expected


def test_two_stars_at_the_end_match_everything_below():
    accepted = compile_patterns(["x/**"])
    assert accepted.fullmatch("x/a.txt")
    assert accepted.fullmatch("x/y/z/ab.txt")
    assert not accepted.fullmatch("xy/a.txt")


def test_braces_are_alternatives_and_nest():
    accepted = compile_patterns(["{numpy,sci{py,kit}}/**/*.{py,md}"])
    names = ["numpy/a.py", "scipy/x/b.md", "scikit/c.py", "sci/c.py", "numpy/a.txt", "numpy,scipy/a.py"]
    assert [name for name in names if accepted.fullmatch(name)] == ["numpy/a.py", "scipy/x/b.md", "scikit/c.py"]


def test_a_comma_outside_braces_and_regular_expression_signs_are_letters():
    accepted = compile_patterns(["a,b+(c).txt"])
    assert accepted.fullmatch("a,b+(c).txt")
    assert not accepted.fullmatch("a,bb(c).txt")


def test_no_pattern_matches_nothing():
    assert not compile_patterns([]).fullmatch("a.txt")
    assert not compile_patterns([]).fullmatch("")


@pytest.mark.parametrize("pattern", ["{a,b", "a}", "/etc/*", "../*.txt", "x/../*.txt", "[z-a].txt"])
def test_what_is_no_pattern_is_refused_with_its_text(pattern: str):
    with pytest.raises(ParameterError, match="pattern") as error:
        compile_patterns([pattern])
    assert repr(pattern) in str(error.value)


@given(
    st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=3),
    st.text("ab./", max_size=6),
)
def test_a_brace_group_accepts_the_union_of_its_alternatives(alternatives: list[str], name: str):
    together = compile_patterns([f"x/{{{','.join(alternatives)}}}"])
    each = compile_patterns([f"x/{alternative}" for alternative in alternatives])
    assert bool(together.fullmatch(f"x/{name}")) == bool(each.fullmatch(f"x/{name}"))
