"""gristmill serve as a user starts it."""

import re
import signal

import httpx


def test_the_newest_champion_is_served_until_sigterm(finished, shell):
    with shell.start("serve", "--port", "0", "--set", "max_batch=2") as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("Serving "))
        assert re.match(r"Serving gristmill-tiny version \d+ \(int8\) at http://127\.0\.0\.1:\d+$", line)
        url = line.split()[-1]
        answer = httpx.post(
            f"{url}/v1/completions", json={"prompt": "The", "max_tokens": 3, "temperature": 0}, timeout=1800
        )
        assert answer.status_code == 200
        assert answer.json()["model"] == "gristmill-tiny"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=1800)
    assert process.returncode == 0


def test_a_wrong_setting_and_an_unknown_model_are_errors_of_a_line(finished, shell):
    wrong = shell("serve", "--set", "max_que=3")
    assert wrong.returncode == 2
    assert wrong.stderr == "gristmill: error: no setting max_que of the server; did you mean max_queue?\n"
    unknown = shell("serve", "nobody@champion", "--port", "0")
    assert unknown.returncode == 1
    assert "no model named nobody; the registry has gristmill-tiny" in unknown.stderr
