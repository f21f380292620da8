"""The page of parameters."""

from pathlib import Path

from params.reference import markdown

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"


def test_the_page_in_docs_is_what_the_models_say():
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run python -m params.reference > docs/parameters.md"


def test_every_field_is_described():
    assert [line for line in markdown().splitlines() if line.endswith("|  |")] == []
