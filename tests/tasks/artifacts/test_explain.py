"""Why a stage would run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from params.base import Params
from tasks.artifacts.explain import flatten, reasons_to_run
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing, recipe_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store


class Rules(Params):
    """Nested parameters."""

    min_words: int = 50
    words: tuple[str, ...] = ("the", "of")


class CleanLike(Params):
    """Parameters of the stage under test."""

    rules: Rules = Rules()
    seed: int | None = 1


def source(digest: str = "d" * 32) -> Manifest:
    return Manifest(stage="ingest", version=1, fingerprint="f", digest=digest, params={}, inputs={}, files=())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def done(store: Store) -> Callable[..., None]:
    """Seal a result of a recipe and record a run that has it."""

    def make(recipe: Recipe, *, run_id: str = "1", preset: str = "tiny") -> None:
        with store.lock(recipe):
            draft = store.draft(recipe, {})
            sealed = store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})
        record = RunRecord(run_id=run_id, preset=preset, started_at="").with_stage(sealed, reused=False, wall_s=0)
        record.save(store.root)

    return make


def recipe(params: Params | None = None, *, version: int = 1, **inputs: Manifest) -> Recipe:
    return recipe_of("clean", version, params or CleanLike(), inputs or {"documents": source()})


def test_a_stage_without_a_past_was_never_made(store: Store):
    assert reasons_to_run(recipe(), store, "tiny") == ("never made before",)


def test_a_changed_parameter_is_named_with_both_values(store: Store, done):
    done(recipe())
    changed = recipe(CleanLike(rules=Rules(min_words=30), seed=None))
    assert reasons_to_run(changed, store, "tiny") == ("rules.min_words: 50 -> 30", "seed: 1 -> None")


def test_a_changed_list_is_shown_whole(store: Store, done):
    done(recipe())
    changed = recipe(CleanLike(rules=Rules(words=("的",))))
    assert reasons_to_run(changed, store, "tiny") == ("rules.words: ['the', 'of'] -> ['的']",)


def test_a_new_version_of_the_code_is_named(store: Store, done):
    done(recipe())
    assert reasons_to_run(recipe(version=2), store, "tiny") == ("version 1 -> 2 of the stage's code",)


def test_changed_and_new_inputs_are_named(store: Store, done):
    done(recipe())
    changed = recipe(documents=source("e" * 32), words=source())
    assert reasons_to_run(changed, store, "tiny") == ("input documents: dddddddd -> eeeeeeee", "new input words")


def test_the_comparison_is_with_the_newest_run_of_the_same_preset(store: Store, done):
    done(recipe(CleanLike(seed=2)), run_id="1")
    done(recipe(CleanLike(seed=3)), run_id="2")
    done(recipe(CleanLike(seed=4)), run_id="3", preset="other")
    assert reasons_to_run(recipe(CleanLike(seed=9)), store, "tiny") == ("seed: 3 -> 9",)
    assert reasons_to_run(recipe(CleanLike(seed=9)), store, "new preset") == ("seed: 4 -> 9",)


def test_a_parameter_that_came_or_went_is_absent_on_one_side(store: Store, done):
    class Older(Params):
        rules: Rules = Rules()
        speed: int = 5

    done(recipe(Older()))
    assert reasons_to_run(recipe(), store, "tiny") == ("seed: absent -> 1", "speed: 5 -> absent")


def test_flatten_gives_dotted_keys_and_indexes_lists_of_mappings():
    tree = {"a": {"b": 1, "c": {}}, "s": [{"name": "x"}, {"name": "y"}], "l": [1, 2], "e": []}
    assert flatten(tree) == {"a.b": 1, "a.c": {}, "s.0.name": "x", "s.1.name": "y", "l": [1, 2], "e": []}
