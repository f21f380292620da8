"""API keys: where they come from."""

import pytest

from params.errors import ParameterError
from tasks.serving.api_keys import read_keys

KEY, OTHER = "k" * 20, "o" * 20


def test_keys_come_from_a_file_and_from_the_environment(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(f"# of the web shop\n{KEY}\n\n")
    keys = read_keys(path, {"GRISTMILL_API_KEYS": f"{OTHER}, {'p' * 16}"})
    assert all(key in keys for key in (KEY, OTHER, "p" * 16))
    assert not any(key in keys for key in ("", KEY[:-1], f"{KEY}k", "# of the web shop", "\udcff"))


def test_without_any_there_is_no_lock():
    assert not read_keys(None, {})
    assert not read_keys(None, {"GRISTMILL_API_KEYS": " "})


def test_a_key_that_could_be_guessed_is_refused_and_not_shown(tmp_path):
    with pytest.raises(ParameterError, match="API key 1 has 6 characters; it takes 16 or more") as raised:
        read_keys(None, {"GRISTMILL_API_KEYS": "secret"})
    assert "secret" not in str(raised.value)


def test_a_file_that_gives_no_key_is_an_error(tmp_path):
    (tmp_path / "empty").write_text("# nothing yet\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, message in (("empty", "no API key in it"), ("binary", "not UTF-8"), ("none", "No such file")):
        with pytest.raises(ParameterError, match=message):
            read_keys(tmp_path / name, {})
