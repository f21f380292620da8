"""gristmill notify: a test over every channel."""

import argparse
import json

import pytest

from flows.notifying import notify
from params.errors import ParameterError

SLACK_AND_JSON = "notify.webhooks=[{kind: slack}, {kind: json}]"


def asked(*settings: str, test: bool = True) -> argparse.Namespace:
    return argparse.Namespace(preset="tiny", set=list(settings), text=[], name=None, home=None, test=test)


def test_each_channel_gets_a_test_and_is_reported(hook, monkeypatch, capsys):
    monkeypatch.setenv("GRISTMILL_SLACK_URL", hook.url)
    monkeypatch.setenv("GRISTMILL_JSON_URL", hook.url)
    assert notify(asked(SLACK_AND_JSON, "notify.language=zh")) == 0
    assert capsys.readouterr().out == "notify.webhooks.0 (slack): delivered\nnotify.webhooks.1 (json): delivered\n"
    bodies = [json.loads(posted.body) for posted in hook.posted]
    (own,) = [body for body in bodies if "event" in body]
    assert (own["event"], own["title"]) == ("test", "[gristmill] gristmill-tiny: 这是一条测试消息")


def test_a_channel_that_fails_ends_the_command_with_1(hook, monkeypatch, capsys):
    hook.replies = [(404, b"no_team")]
    monkeypatch.setenv("GRISTMILL_SLACK_URL", hook.url)
    monkeypatch.delenv("GRISTMILL_JSON_URL", raising=False)
    assert notify(asked(SLACK_AND_JSON)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "notify.webhooks.0 (slack): it answered 404 Not Found: no_team",
        "notify.webhooks.1 (json): the environment variable GRISTMILL_JSON_URL is not set",
    ]


def test_without_test_the_channels_are_listed_and_nothing_is_sent(hook, monkeypatch, capsys):
    monkeypatch.setenv("GRISTMILL_SLACK_URL", hook.url)
    monkeypatch.delenv("GRISTMILL_JSON_URL", raising=False)
    assert notify(asked(SLACK_AND_JSON, test=False)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "notify.webhooks.0 (slack): ready",
        "notify.webhooks.1 (json): GRISTMILL_JSON_URL is not set",
    ]
    assert hook.posted == []


def test_a_preset_without_channels_is_told_how_to_name_one():
    with pytest.raises(ParameterError, match=r"--set 'notify\.webhooks=\[\{kind: slack\}\]'"):
        notify(asked())
