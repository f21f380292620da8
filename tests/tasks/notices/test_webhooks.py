"""Bodies as each chat documents them, at a real server; signatures computed with openssl dgst -hmac."""

import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.notices.bodies import make_request
from tasks.notices.delivery import DeliveryError
from tasks.notices.message import Notice, tell
from tasks.notices.webhooks import post_notice

SECRET, NOW_S = "this is secret", 1599360473.1234
OK = {"slack": b"ok", "feishu": b'{"code":0,"msg":"success","data":{}}', "json": b""}
OK |= dict.fromkeys(["dingtalk", "wecom"], b'{"errcode":0,"errmsg":"ok"}')
KINDS = list(OK)


def request(kind, notice: Notice, *, secret: str | None = None, language="en", url="https://example.com/hook"):
    return make_request(kind, url, notice, tell(notice, language), secret=secret, now_s=NOW_S)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_is_posted_as_json_in_utf_8_and_taken(kind, language, hook, notice: Notice):
    hook.replies = [(200, OK[kind])]
    post_notice(kind, f"{hook.url}/hook", notice, tell(notice, language), timeout_s=60)
    (posted,) = hook.posted
    assert posted.headers["content-type"] == "application/json; charset=utf-8"
    text = json.dumps(json.loads(posted.body), ensure_ascii=False)
    for part in ("[gristmill] gristmill-tiny", "3.2100", *notice.reasons, notice.links["mlflow"]):
        assert part in text


def test_slack_gets_text_with_its_three_characters_escaped(notice: Notice):
    body = json.loads(request("slack", replace(notice, reasons=("loss < 3 & <done>",))).body)
    assert set(body) == {"text"}
    assert body["text"].startswith("*[gristmill] gristmill-tiny: converged*\n*Ended:* converged\n")
    assert "*Reason:* loss &lt; 3 &amp; &lt;done&gt;" in body["text"]


def test_feishu_gets_a_post_whose_addresses_are_links(notice: Notice):
    body = json.loads(request("feishu", notice, language="zh").body)
    assert set(body) == {"msg_type", "content"}
    assert body["msg_type"] == "post"
    post = body["content"]["post"]["zh_cn"]
    assert post["title"] == "[gristmill] gristmill-tiny: 已收敛"
    assert post["content"][0] == [{"tag": "text", "text": "结局: "}, {"tag": "text", "text": "已收敛"}]
    link = {"tag": "a", "text": notice.links["mlflow"], "href": notice.links["mlflow"]}
    assert [{"tag": "text", "text": "MLflow 运行: "}, link] in post["content"]


def test_feishu_signs_with_seconds_in_the_body(notice: Notice):
    body = json.loads(request("feishu", notice, secret=SECRET).body)
    assert body["timestamp"] == "1599360473"
    assert body["sign"] == "/eYKrXQBzTjUZJ3s6NX16VxGbTwmK7AEs8/FnvC1CSw="


def test_dingtalk_gets_markdown_and_signs_with_milliseconds_in_the_query(notice: Notice):
    made = request("dingtalk", notice, secret=SECRET, url="https://oapi.dingtalk.com/robot/send?access_token=t")
    body = json.loads(made.body)
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["title"] == "[gristmill] gristmill-tiny: converged"
    assert body["markdown"]["text"].startswith("### [gristmill] gristmill-tiny: converged\n- **Ended**: converged\n")
    query = parse_qs(urlsplit(made.url).query)
    assert query == {
        "access_token": ["t"],
        "timestamp": ["1599360473123"],
        "sign": ["0eVlIU0GooHVuIBX6FZ86JNxxfy4qwhOlP5JU2uHmq4="],
    }
    assert "sign=0eVlIU0GooHVuIBX6FZ86JNxxfy4qwhOlP5JU2uHmq4%3D" in made.url


def test_wecom_gets_markdown_content(notice: Notice):
    body = json.loads(request("wecom", notice).body)
    assert body["msgtype"] == "markdown"
    assert set(body["markdown"]) == {"content"}
    assert "- **Reason**: no gain over 0 in 5 evaluations (best 3.2100)" in body["markdown"]["content"]


def test_our_own_body_has_what_a_program_needs(notice: Notice):
    body = json.loads(request("json", notice).body)
    assert body | {"title": "", "text": ""} == {
        "schema": 1,
        "event": "run.ended",
        "sent_at": "2020-09-06T02:47:53+00:00",
        "verdict": "converged",
        "run_id": "20260131-101500-ab12",
        "preset": "quickstart",
        "model": "gristmill-tiny",
        "host": "box",
        "seconds": 3725.4,
        "reasons": list(notice.reasons),
        "figures": {"val_loss": 3.21, "tokens": 1048576, "cost": 12.5},
        "links": dict(notice.links),
        "title": "",
        "text": "",
    }


def test_a_receiver_can_check_our_signature_as_documented(hook, notice: Notice):
    hook.replies = [(204, b"")]
    post_notice("json", f"{hook.url}/x", notice, tell(notice, "en"), secret=SECRET, timeout_s=60)
    (posted,) = hook.posted
    signed = posted.headers["x-gristmill-timestamp"].encode() + b"." + posted.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert posted.headers["x-gristmill-signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("kind", "limit"), [("slack", 4_000), ("feishu", 20_000), ("dingtalk", 20_000), ("wecom", 4_096), ("json", 300_000)]
)
def test_a_long_notice_is_kept_within_what_the_kind_takes(kind, limit, notice: Notice):
    long = replace(notice, reasons=tuple(f"规则 {number} " + "损失\\<太大>" * 2000 for number in range(12)))
    made = request(kind, long, secret=SECRET if kind in ("feishu", "dingtalk") else None, language="zh")
    body = json.loads(made.body)
    size = {
        "slack": lambda: len(body["text"]),
        "wecom": lambda: len(body["markdown"]["content"].encode()),
    }.get(kind, lambda: len(made.body))()
    assert size <= limit
    assert "下一步" in made.body.decode()


@pytest.mark.parametrize(
    ("kind", "status", "reply", "said", "is_passing"),
    [
        ("slack", 403, b"invalid_token", "it answered 403 Forbidden: invalid_token", False),
        ("slack", 503, b"", "it answered 503 Service Unavailable", True),
        ("slack", 429, b"rate_limited", "it answered 429", True),
        ("slack", 200, b"<html>log in</html>", "it answered '<html>", False),
        ("feishu", 200, b'{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}', "19021", False),
        ("dingtalk", 200, b'{"errcode":310000,"errmsg":"keywords not in content"}', "keywords not in content", False),
        ("wecom", 200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', "93000", False),
        ("wecom", 200, b"not json", "not json", False),
        ("json", 500, b"", "it answered 500", True),
    ],
)
def test_a_refusal_is_seen_also_where_the_status_is_200(kind, status, reply, said, is_passing, hook, notice: Notice):
    hook.replies = [(status, reply)]
    with pytest.raises(DeliveryError) as raised:
        post_notice(kind, hook.url, notice, tell(notice, "en"), timeout_s=60)
    assert said in str(raised.value)
    assert raised.value.is_passing is is_passing


def test_a_redirect_is_not_followed(hook, notice: Notice):
    hook.replies, hook.location = [(302, b"")], f"{hook.url}/elsewhere"
    with pytest.raises(DeliveryError, match="it answered 302"):
        post_notice("json", f"{hook.url}/hook", notice, tell(notice, "en"), timeout_s=60)
    assert [posted.path for posted in hook.posted] == ["/hook"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/x", "hooks.slack.com/x"])
def test_an_address_of_another_kind_is_refused(url, notice: Notice):
    with pytest.raises(DeliveryError, match="no http"):
        post_notice("json", url, notice, tell(notice, "en"), timeout_s=60)
