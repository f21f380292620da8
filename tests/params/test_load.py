"""Presets, overrides and the errors that name line and remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.errors import ParameterError
from params.keys import merge
from params.load import load_params, parse_assignments, preset_names

TREES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))
SOURCES = "survey:\n  sources:\n    - {name: t, path: text}\n"


def preset(tmp_path: Path, text: str) -> Path:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", preset_names())
def test_every_built_in_preset_is_valid_and_says_what_it_is(name: str):
    params = load_params(name)
    assert params.survey.sources
    assert (Path(__file__).parents[2] / "params" / "presets" / f"{name}.yaml").read_text().startswith("# ")


def test_an_override_goes_over_the_preset_and_leaves_its_neighbours():
    params = load_params("tiny", {"train": {"stop": {"max_steps": 5}}, "shard.context": 32})
    assert params.train.stop.max_steps == 5
    assert params.train.model.layers == 2
    assert params.shard.context == 32


def test_a_preset_extends_another(tmp_path: Path):
    params = load_params(preset(tmp_path, "extends: tiny\ntrain:\n  seed: 9\n"))
    assert params.train.seed == 9
    assert params.train.model.width == 64


def test_a_preset_extends_one_beside_it_wherever_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "base.yaml").write_text("extends: tiny\ntrain: {seed: 9}\n")
    monkeypatch.chdir("/")
    assert load_params(preset(tmp_path, "extends: base.yaml\n")).train.seed == 9


def test_presets_that_extend_each_other_are_refused(tmp_path: Path):
    (tmp_path / "base.yaml").write_text("extends: mine.yaml\n")
    with pytest.raises(ParameterError, match=r"base.yaml: extends leads back to .*mine.yaml"):
        load_params(preset(tmp_path, "extends: base.yaml\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {seed: 1}\n" + SOURCES + "train: {seed: 2}\n", "mine.yaml:5: train stands in line 1 already"),
        (SOURCES + "train:\n  seed: 1\n  seed: 2\n", "mine.yaml:6: train.seed stands in line 5 already"),
        (SOURCES + "train: {seed: 1, seed: 2}\n", "mine.yaml:4: train.seed stands in line 4 already"),
        (SOURCES + "? [a, b]\n: 3\n", "mine.yaml: not readable as YAML"),
        ("extends: [tiny]\n", "mine.yaml: extends is ['tiny']; it must be the name or the path of one preset"),
        ("train: &a {seed: 2, <<: *a}\n", "it holds itself, or is nested too deeply"),
        (SOURCES + "train:\n  sede: 1\n", "mine.yaml:5: unknown key train.sede; did you mean seed?"),
        (SOURCES + "train:\n  seed: -1\n", "mine.yaml:5: train.seed is -1; it must be greater than or equal to 0"),
        (SOURCES + "ingest: {max_document_mb: .inf}\n", "max_document_mb is inf; it must be a finite number"),
        (SOURCES + "split: {validation: 0.5, test: 0.5}\n", "mine.yaml:4: split: validation and test together"),
        (SOURCES + "train:\n  stop: {max_epochs: null}\n", "names no rule; give it one, such as max_steps"),
        ("survey: {sources: [{name: t}]}\n", "mine.yaml:1: survey.sources.0.path is required; add it"),
        ("train: {}\n", "survey is required; set it in the preset or with --set survey=…"),
        ("survey: [\n", "mine.yaml: not readable as YAML"),
        ("- a\n", "a preset is a mapping of sections"),
        ("extends: missing\n", "no preset named 'missing'"),
    ],
)
def test_a_mistake_in_a_preset_is_named_with_its_line_and_the_remedy(tmp_path: Path, text: str, said: str):
    with pytest.raises(ParameterError) as raised:
        load_params(preset(tmp_path, text))
    assert said in str(raised.value)
    assert raised.value.exit_code == 2


def test_every_mistake_is_named_at_once(tmp_path: Path):
    with pytest.raises(ParameterError) as raised:
        load_params(preset(tmp_path, SOURCES + "train: {seed: -1}\nshard: {context: 1}\n"))
    assert [line.split(" is ")[0].split(": ")[1] for line in str(raised.value).splitlines()] == [
        "shard.context",
        "train.seed",
    ]


def test_a_mistake_in_an_override_is_not_blamed_on_the_preset():
    with pytest.raises(ParameterError, match=r"^override: train.seed is 'x';"):
        load_params("tiny", {"train": {"seed": "x"}})


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["compress.variants=[int4]"], "release.serve is int8, and compress.variants makes int4 besides fp32"),
        (["compress.variants=[]"], "release.serve is int8, and compress.variants makes nothing besides fp32"),
        (["run.ranks=3"], "train.batch_blocks 8 cannot be shared among 3 ranks; set a multiple"),
        (["train.micro_blocks=auto", "run.parallel=zero2"], "train.micro_blocks auto tries on one rank"),
        (["prune.drop_layers=2"], "prune.drop_layers 2 leaves nothing of 2 layers; drop fewer"),
    ],
)
def test_sections_that_do_not_fit_together_are_refused_before_anything_runs(assignments: list[str], said: str):
    with pytest.raises(ParameterError, match=rf"tiny\.yaml with its overrides: {said}"):
        load_params("tiny", parse_assignments(assignments))
    assert load_params("tiny", {"compress.variants": ["int4"], "release.serve": "auto"})


@pytest.mark.parametrize(
    ("parallel", "meant"),
    [
        ("deepspeed", "zero2 (as its ZeRO-2) or zero3 (as its ZeRO-3)"),
        ("DeepSpeed", "zero2 (as its ZeRO-2) or zero3 (as its ZeRO-3)"),
        ("zero1", "zero2, which shares out the gradients as well"),
        ("fsdp", "zero3 (full shard) or zero2 (shard grad op)"),
    ],
)
def test_a_way_to_share_out_that_is_called_otherwise_here_is_answered_with_its_name(parallel: str, meant: str):
    with pytest.raises(ParameterError) as raised:
        load_params("tiny", {"run.parallel": parallel})
    assert str(raised.value).startswith(f"override: run.parallel is '{parallel}'; did you mean {meant}")
    assert "docs/training.md, DeepSpeed" in str(raised.value)


def test_assignments_are_read_as_yaml():
    assert parse_assignments(["a.b=1", "a.c=null", "d=[x, 2.5]", "e={f: true}", "g=", "h=a=b"]) == {
        "a": {"b": 1, "c": None},
        "d": ["x", 2.5],
        "e": {"f": True},
        "g": None,
        "h": "a=b",
    }


@pytest.mark.parametrize("assignment", ["seed", "=1", "a=[1"])
def test_an_assignment_that_cannot_be_read_is_quoted_back(assignment: str):
    with pytest.raises(ParameterError) as raised:
        parse_assignments([assignment])
    assert f"--set {assignment}" in str(raised.value)


@given(TREES)
def test_merging_with_nothing_changes_nothing(tree):
    assert merge(tree, {}) == tree == merge({}, tree)


@given(TREES, TREES)
def test_merging_the_same_changes_twice_is_merging_them_once(tree, changes):
    assert merge(merge(tree, changes), changes) == merge(tree, changes)


@given(TREES, TREES)
def test_merging_does_not_touch_its_arguments(tree, changes):
    before = repr((tree, changes))
    merge(tree, changes)
    assert repr((tree, changes)) == before
