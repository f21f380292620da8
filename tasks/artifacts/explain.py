"""Why a stage would run: the parameter with old and new value, the input or the version that changed."""

from collections.abc import Iterator
from typing import Any

from tasks.artifacts.manifest import Manifest, Recipe
from tasks.artifacts.record import run_records
from tasks.artifacts.store import Store


def reasons_to_run(recipe: Recipe, store: Store, preset: str) -> tuple[str, ...]:
    """What differs between a recipe and the result that the newest run (of the same preset if any) had."""
    previous = _previous(recipe.stage, store, preset)
    if previous is None:
        return ("never made before",)
    reasons = (*_version(recipe, previous), *_params(recipe.params, previous.params), *_inputs(recipe, previous))
    return reasons or ("its result is no longer in the store",)


def _previous(stage: str, store: Store, preset: str) -> Manifest | None:
    newest_first = sorted(run_records(store.root), key=lambda r: (r.preset == preset, r.run_id), reverse=True)
    for record in newest_first:
        if (done := record.stages.get(stage)) and (found := store.find(stage, done.fingerprint)):
            return found
    return None


def _version(recipe: Recipe, previous: Manifest) -> Iterator[str]:
    if recipe.version != previous.version:
        yield f"version {previous.version} -> {recipe.version} of the stage's code"


def _params(new: dict[str, Any], old: dict[str, Any]) -> Iterator[str]:
    flat_new, flat_old = flatten(new), flatten(old)
    for key in sorted(flat_new.keys() | flat_old.keys()):
        before, now = flat_old.get(key, "absent"), flat_new.get(key, "absent")
        if before != now:
            yield f"{key}: {before} -> {now}"


def _inputs(recipe: Recipe, previous: Manifest) -> Iterator[str]:
    for name, reference in recipe.inputs.items():
        before = previous.inputs.get(name)
        if before is None:
            yield f"new input {name}"
        elif before.digest != reference.digest:
            yield f"input {name}: {before.digest[:8]} -> {reference.digest[:8]}"


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping with dotted keys; lists stay values, lists of mappings get their index as a key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            flat |= flatten({str(index): item for index, item in enumerate(value)}, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
