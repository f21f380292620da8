"""The screenshots of docs/tracking.md, from the pages of a running stack: python tests/bench/screens.py HOME [FOLDER].

Needs chromium, chromedriver and Pillow, and a home with a stack that is up, two runs of one model at least, and one
run that a deployment made.
"""

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tasks.artifacts.record import RunRecord, run_records

WIDTH = 1400
LIMIT_S = 60.0
COLOURS = 96
CHARTS = "all/(test|final)|train/(val_)?loss$|train/lr"
DIFFERENCES = "document.querySelectorAll('[role=switch][aria-checked=false]').forEach((one) => one.click())"
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--blink-settings={MOUSE}")


@dataclass
class Tab:
    """A page of a browser, through the WebDriver protocol of chromedriver."""

    driver: httpx.Client
    session: str

    def call(self, command: str, **body: Any) -> Any:
        reply = self.driver.post(f"/session/{self.session}/{command}", json=body)
        said = reply.json()["value"]
        assert reply.is_success, said
        return said

    def run(self, script: str) -> Any:
        return self.call("execute/sync", script=script, args=[])

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + LIMIT_S
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition}: {self.run('return document.body.innerText')}"
            time.sleep(0.2)

    def open(self, url: str, *texts: str, height: int = 900) -> None:
        """Show a page, and wait for texts on it."""
        self.call("window/rect", width=WIDTH, height=height)
        self.call("url", url="about:blank")
        self.call("url", url=url)
        for text in texts:
            self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def click(self, selector: str, text: str = "") -> None:
        """The first element of this kind that holds the text."""
        elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
        found = f"{elements}.find((element) => element.innerText.includes({json.dumps(text)}))"
        self.until(found)
        self.run(f"{found}.click()")

    def write(self, selector: str, text: str) -> None:
        """Type into an input."""
        found = self.call("element", using="css selector", value=selector)
        self.call(f"element/{next(iter(found.values()))}/value", text=text)

    def save(self, path: Path, settle_s: float = 3.0) -> None:
        """What is seen now, with few colours: a page has few."""
        time.sleep(settle_s)  # charts draw themselves in after their data has come
        reply = self.driver.get(f"/session/{self.session}/screenshot").json()["value"]
        image = Image.open(io.BytesIO(base64.b64decode(reply))).convert("RGB")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}: {image.width} x {image.height}, {path.stat().st_size / 1e3:.0f} kB")


@contextmanager
def browsing() -> Iterator[Tab]:
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    assert driver is not None, "install chromedriver"
    assert browser is not None, "install chromium"
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
    ):
        assert process.stdout is not None
        line = next(line for line in process.stdout if "started successfully on port" in line)
        port = int(line.rstrip().rstrip(".").rpartition(" ")[2])
        options = {"binary": browser, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                session = client.post("/session", json=wanted).json()["value"]["sessionId"]
                try:
                    yield Tab(client, session)
                finally:
                    client.delete(f"/session/{session}")
        finally:
            process.terminate()


def main(home: Path, folder: Path) -> None:
    stack = json.loads((home / "stack.json").read_bytes())
    records = [record for record in run_records(home / "store") if record.model_version and record.mlflow_run_id]
    with browsing() as tab:
        mlflow_pages(tab, stack["mlflow"], records, folder)
        prefect_pages(tab, stack["prefect"], records[-1], folder)


def mlflow_pages(tab: Tab, mlflow: str, records: list[RunRecord], folder: Path) -> None:
    pair = [str(record.mlflow_run_id) for record in records[-2:]]
    shown = records[-1].run_id
    model = str(records[-1].model_version).removeprefix("models:/").rpartition("/")[0]
    found = httpx.get(f"{mlflow}/api/2.0/mlflow/runs/get", params={"run_id": pair[0]}).json()
    experiment = found["run"]["info"]["experiment_id"]
    page = f"{mlflow}/#/experiments/{experiment}/runs"
    tab.open(page, shown)
    tab.click("button, label, span", "Model training")
    tab.click("button[aria-label*=lose]")  # the assistant, which is open at the first visit
    tab.open(f"{page}?compareRunsMode=CHART", shown, "all/", height=1200)
    tab.write("input[placeholder='Search metric charts']", CHARTS)
    tab.save(folder / "mlflow-charts.png", 8)
    runs = f"runs={json.dumps(pair)}&experiments={json.dumps([experiment])}"
    tab.open(f"{mlflow}/#/compare-runs?{runs}", shown, "Show diff only", height=1500)
    tab.click("[role=button], button", "Visualizations")
    tab.run(DIFFERENCES)
    tab.save(folder / "mlflow-compare.png")
    tab.open(f"{mlflow}/#/models/{model}", "champion", height=900)
    tab.save(folder / "mlflow-registry.png")


def prefect_pages(tab: Tab, prefect: str, record: RunRecord, folder: Path) -> None:
    tab.open(f"{prefect}/runs/flow-run/{record.flow_run_id}", record.run_id, height=1000)
    tab.click("button, a, [role=tab], li", "Artifacts")
    tab.save(folder / "prefect-run.png", 12)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"))
