"""The page in headless Chromium, through the WebDriver protocol of chromedriver."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import httpx
import pytest

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with chromedriver is installed")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en-US",
    "--window-size=900,900",
)
READY = "return document.getElementById('log').getAttribute('aria-busy') === 'false'"


class Page:
    """A page in a browser."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self.driver, self.session = driver, session

    def call(self, command: str, **body: object) -> object:
        answer = self.driver.post(f"/session/{self.session}/{command}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    def run(self, script: str) -> object:
        return self.call("execute/sync", script=script, args=[])

    def until(self, script: str) -> None:
        """Wait until a script gives true; the driver's own limit on scripts ends the wait."""
        body = "const done = arguments[0], look = () => ((() => { %s })() ? done(true) : setTimeout(look, 20)); look();"
        self.call("execute/async", script=body % script, args=[])

    def ask(self, prompt: str) -> str:
        """Type a prompt, send it with Enter, and give the last text on the page once it is whole."""
        (found,) = self.call("element", using="css selector", value="#prompt").values()
        self.call(f"element/{found}/clear")
        self.call(f"element/{found}/value", text=f"{prompt}\ue007")
        self.until(READY)
        return str(self.run("return [...document.querySelectorAll('.turn p')].at(-1).textContent"))

    def set(self, name: str, value: str) -> None:
        self.run(f"document.getElementById('{name}').value = '{value}'")

    def click(self, name: str) -> None:
        self.run(f"document.getElementById('{name}').click()")


@contextmanager
def browsing(url: str, profile: str) -> Iterator[Page]:
    assert DRIVER is not None
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with (
        # the browser leaves a folder there, and a socket in it, whose path must be short
        TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as scratch,
        subprocess.Popen([DRIVER, "--port=0"], env=os.environ | {"TMPDIR": scratch}, text=True, **pipes) as process,
    ):
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if "started successfully on port" in line)
            port = int(line.rstrip().rstrip(".").rpartition(" ")[2])
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=1800) as driver:
                options = {"binary": BROWSER, "args": [*FLAGS, f"--user-data-dir={profile}"]}
                wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
                session = driver.post("/session", json=wanted).json()["value"]["sessionId"]
                page = Page(driver, session)
                try:
                    page.call("url", url=url)
                    page.until("return document.getElementById('model').textContent !== ''")
                    yield page
                finally:
                    driver.delete(f"/session/{session}")
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def page(server, tmp_path_factory) -> Iterator[Page]:
    with browsing(server.url, str(tmp_path_factory.mktemp("browser"))) as opened:
        yield opened


def test_a_chat_streams_an_answer_and_remembers_it(page):
    page.set("temperature", "0")
    assert page.ask("How?") == " package, run pip install gristmill."
    assert page.run("return [...document.querySelectorAll('.turn h2')].map((e) => e.textContent)") == ["You", "Model"]
    assert page.run("return turns.length") == 2
    page.click("clear")
    assert page.run("return turns.length + document.querySelectorAll('.turn').length") == 0


def test_a_text_is_continued_in_place(page):
    page.click("tab-completion")
    page.set("temperature", "0")
    assert page.ask("To install the") == "To install the package, run pip install gristmill."
    page.set("stops", "pip|zzz")
    assert page.ask("To install the") == "To install the package, run "
    page.set("stops", "")


def test_what_a_model_or_a_person_writes_never_becomes_markup(page):
    page.click("tab-completion")
    text = page.ask('<img src=x onerror="document.title=1"><b>')
    assert text.startswith('<img src=x onerror="document.title=1"><b>')
    assert page.run("return document.querySelectorAll('#log img, #log b').length") == 0
    assert page.run("return document.title") == "Gristmill"


def test_an_error_is_told_in_its_own_place(page):
    page.set("max_tokens", "1000")
    page.ask("The")
    assert "max_tokens is 1000; it may be 64 at most" in str(
        page.run("return document.querySelector('[role=alert]').textContent")
    )
    page.set("max_tokens", "20")
    page.ask("The")
    assert page.run("return document.querySelector('[role=alert]').hidden") is True


def test_the_language_and_the_theme_change_and_are_kept(page):
    page.click("language")
    assert page.run("return document.documentElement.lang") == "zh-CN"
    assert page.run("return document.getElementById('send').textContent") == "发送"
    before = page.run("return getComputedStyle(document.body).backgroundColor")
    page.click("theme")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != before
    page.call("refresh")
    assert page.run("return document.documentElement.lang") == "zh-CN"
    assert page.run("return getComputedStyle(document.body).backgroundColor") != before
    page.click("language")


def test_both_languages_have_every_word(page):
    english, chinese = page.run("return [WORDS.en, WORDS.zh].map((words) => Object.keys(words).sort())")
    assert english == chinese
    assert page.run("return [...document.querySelectorAll('[data-text]')].filter((e) => !e.textContent).length") == 0


def test_everything_that_can_be_used_has_a_name(page):
    script = """return [...document.querySelectorAll('button, input, textarea')]
        .filter((e) => !(e.textContent || e.labels && e.labels[0] && e.labels[0].textContent)).map((e) => e.id)"""
    assert page.run(script) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page, theme):
    """WCAG 2.2, 1.4.3: a contrast of 4.5 or more."""
    script = f"""
        document.documentElement.dataset.theme = '{theme}';
        const light = (name) => {{
          const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
          const long = hex.length === 3 ? [...hex].map((c) => c + c).join('') : hex;
          const parts = [0, 2, 4].map((at) => parseInt(long.slice(at, at + 2), 16) / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
          return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        }};
        const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
        const pairs = [['--ink', '--paper'], ['--ink', '--card'], ['--ink', '--user'], ['--soft', '--card'],
          ['--soft', '--paper'], ['--soft', '--user'], ['--on-mark', '--mark'], ['--bad', '--paper']];
        return pairs.filter(([a, b]) => contrast(a, b) < 4.5).map((pair) => pair.join(' on '));"""
    assert page.run(script) == []


def test_nothing_is_loaded_from_elsewhere(page, server):
    names = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if not name.startswith(server.url)] == []
    policy = httpx.get(server.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_classifier_is_asked_for_labels(labels, tmp_path):
    with browsing(labels.url, str(tmp_path)) as page:
        assert page.run("return document.getElementById('tab-completion').disabled") is True
        assert page.ask("The garden was excellent.") == "The garden was excellent."
        note = page.run("return document.querySelector('.turn .note').textContent")
        assert str(note).startswith("positive ")
        page.ask("word " * 100)
        assert "shorten it" in str(page.run("return document.querySelector('[role=alert]').textContent"))
