"""All channels at once, in bounded time."""

import socket
import threading

import pytest
from pydantic import ValidationError

from params.notify import EmailParams, NotifyParams, WebhookParams
from tasks.notices.message import Notice
from tasks.notices.sending import channels_of, send_notice


def params(*kinds: str, timeout_s: float = 60.0, **more) -> NotifyParams:
    return NotifyParams(webhooks=tuple(WebhookParams(kind=kind) for kind in kinds), timeout_s=timeout_s, **more)


def test_the_address_comes_from_the_variable_of_the_kind_or_from_the_one_that_is_named(hook, notice: Notice):
    named = WebhookParams(kind="json", url_env="MY_HOOK")
    environ = {"GRISTMILL_SLACK_URL": f"{hook.url}/slack", "MY_HOOK": f"{hook.url}/mine"}
    both = NotifyParams(webhooks=(WebhookParams(kind="slack"), named))
    assert [delivery.problem for delivery in send_notice(notice, both, environ)] == [None, None]
    assert sorted(posted.path for posted in hook.posted) == ["/mine", "/slack"]


def test_a_channel_without_its_variable_is_named_and_the_others_are_told(hook, notice: Notice):
    signed = WebhookParams(kind="json", secret_env="MY_SECRET")
    environ = {"GRISTMILL_JSON_URL": hook.url}
    found = send_notice(notice, NotifyParams(webhooks=(signed, WebhookParams(kind="json"))), environ)
    assert [(delivery.channel, delivery.problem) for delivery in found] == [
        ("notify.webhooks.0 (json)", "the environment variable MY_SECRET is not set"),
        ("notify.webhooks.1 (json)", None),
    ]


def test_a_passing_failure_is_tried_once_more_and_another_is_not(hook, notice: Notice):
    environ = {"GRISTMILL_SLACK_URL": hook.url}
    hook.replies = [(503, b""), (200, b"ok")]
    assert send_notice(notice, params("slack"), environ)[0].problem is None
    assert len(hook.posted) == 2
    hook.replies = [(500, b"down")]
    assert "500" in str(send_notice(notice, params("slack"), environ)[0].problem)
    assert len(hook.posted) == 4
    hook.replies = [(404, b"no_service")]
    assert "no_service" in str(send_notice(notice, params("slack"), environ)[0].problem)
    assert len(hook.posted) == 5


def test_a_server_that_never_answers_is_given_up_while_others_are_told(hook, notice: Notice):
    hook.silent = threading.Event()
    with socket.socket() as deaf:  # bound, so that nobody takes the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        environ = {"GRISTMILL_SLACK_URL": hook.url, "GRISTMILL_JSON_URL": f"http://127.0.0.1:{deaf.getsockname()[1]}/x"}
        silent, refused = send_notice(notice, params("slack", "json", timeout_s=0.2), environ)
    assert "timed out" in str(silent.problem)
    assert "Connection refused" in str(refused.problem)


def test_a_problem_never_shows_the_address_or_the_secret(hook, notice: Notice):
    token = "0123456789abcdef"
    hook.replies = [(403, f"no robot {token} at /send/{token}?access_token={token}".encode())]
    environ = {"GRISTMILL_DINGTALK_URL": f"{hook.url}/send/{token}?access_token={token}"}
    problem = str(send_notice(notice, params("dingtalk"), environ)[0].problem)
    assert "no robot ***" in problem
    assert token not in problem


@pytest.mark.parametrize("field", ["url_env", "secret_env"])
def test_a_secret_in_the_place_of_a_variables_name_is_refused_without_being_repeated(field):
    from params.errors import ParameterError
    from params.load import load_params

    secret = "https://oapi.dingtalk.com/robot/send?access_token=abc"
    with pytest.raises(ParameterError, match=f"{field} must be the name of an environment variable") as raised:
        load_params("tiny", {"notify.webhooks": [{"kind": "dingtalk", field: secret}]})
    assert "abc" not in str(raised.value)


def test_parameters_that_cannot_work_are_refused():
    with pytest.raises(ValidationError, match="wecom signs nothing"):
        WebhookParams(kind="wecom", secret_env="X")
    with pytest.raises(ValidationError, match="never sent unencrypted"):
        EmailParams(host="mail.example.com", security="none", user="me", to=("a@b.c",))
    with pytest.raises(ValidationError, match="'nobody' is no e-mail address"):
        EmailParams(host="mail.example.com", to=("nobody",))
    assert EmailParams(host="127.0.0.1", security="none", user="me", to=("a@b.c",)).port_number == 25


def test_without_channels_nobody_is_told(notice: Notice):
    assert not NotifyParams().has_channels
    assert channels_of(NotifyParams()) == send_notice(notice, NotifyParams()) == []
