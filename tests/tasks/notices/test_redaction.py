"""Secrets do not get out."""

import pytest

from tasks.notices.redaction import redacted, secrets_of_url

SLACK = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
DINGTALK = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "secrets", "clean"),
    [
        ("login hunter2 refused", ("hunter2",), "login *** refused"),
        ("cannot reach s3://me:pa55@host/a", (), "cannot reach s3://***@host/a"),
        ("GET http://h/x?access_token=abc&n=1", (), "GET http://h/x?access_token=***&n=1"),
        ("sent a%2Fb%2Bsecret", ("a/b+secret",), "sent ***"),
        (f"no hook at {SLACK}", secrets_of_url(SLACK), "no hook at ***"),
        ("no /services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", secrets_of_url(SLACK), "no ***"),
        ("token 0123456789abcdef is not exist", secrets_of_url(DINGTALK), "token *** is not exist"),
        ("nothing to hide: 3 < 4, a@b.c", ("",), "nothing to hide: 3 < 4, a@b.c"),
    ],
)
def test_secrets_are_masked_however_they_are_spelled(text: str, secrets: tuple[str, ...], clean: str):
    assert redacted(text, secrets) == clean
