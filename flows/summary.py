"""What a run made, for the console, the Prefect UI and MLflow."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.console import shortened
from flows.labels import key_figures
from flows.phases import trained
from flows.promoting import gate_table
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.clean import BY_SOURCE
from tasks.compress import speed_of
from tasks.context import Run
from tasks.kinds.kind import Kind, kind_named
from tasks.notices.redaction import redacted
from tasks.stage import headline, rate
from tasks.train import MODEL

if TYPE_CHECKING:
    from flows.pipeline import Outcome
    from tasks.register import Registered

_QUALITY = {
    "loss": ("Loss", ".4f"),
    "loss_increase": ("Over fp32", "+.4f"),
    "kl": ("KL", ".1e"),
    "top1_agreement": ("Top-1", ".3f"),
    "greedy_agreement": ("Greedy", ".3f"),
}
_NUM_SAMPLES = 3
_SAMPLE_CHARACTERS = 240


@dataclass(frozen=True)
class StageRow:
    """One line of the stage table."""

    stage: str
    made: str
    rate: str
    seconds: str
    result: str


def stage_rows(record: RunRecord, manifests: dict[str, Manifest]) -> list[StageRow]:
    """The stages of a run in order, each with what it counted and how fast it was when it was made."""
    return [
        StageRow(name, headline(manifests[name]), rate(manifests[name]), f"{done.wall_s:.1f}", _result(done.reused))
        for name, done in record.stages.items()
    ]


def publish_stage_table(run: Run) -> None:
    """The stage table as an artifact of the Prefect flow run."""
    from prefect.artifacts import create_table_artifact

    rows = [vars(row) for row in stage_rows(run.record, run.manifests)]
    create_table_artifact(table=rows, key="stages", description="What each stage made and took")


def publish_links(run: Run) -> None:
    """Links from the Prefect flow run to the run in MLflow and to its report there, where MLflow has an address."""
    from prefect.artifacts import create_link_artifact

    base = mlflow_address()
    if run.tracker is None or base is None:
        return
    page = f"{base}/#/experiments/{run.tracker.experiment_id}/runs/{run.record.mlflow_run_id}"
    create_link_artifact(page, link_text="figures and curves in MLflow", key="mlflow", description="This run in MLflow")
    if "release" in run.manifests:
        create_link_artifact(
            f"{page}/artifacts", link_text="report and plots in MLflow", key="report", description="Its report"
        )


def mlflow_address() -> str | None:
    """Where MLflow's pages are: its server, or that of the stack on the same database."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    found = uri if uri.startswith(("http://", "https://")) else os.environ.get("GRISTMILL_MLFLOW_URL")
    return redacted(found.rstrip("/")) if found else None


def publish_losses_table(run: Run) -> None:
    """What each source lost by which rule, as an artifact of the Prefect flow run."""
    from prefect.artifacts import create_table_artifact

    if "clean" not in run.manifests:
        return
    path = run.manifests["clean"].file(BY_SOURCE)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    create_table_artifact(table=rows, key="clean-by-source", description="Documents kept and rejected by clean")


def tag_outcome(run: Run, registered: "Registered | None") -> None:
    """Tags to filter runs by in MLflow, and the figures to compare them by."""
    facts = trained(run.manifests).metrics.facts
    tags = {} if registered is None else {"model_version": f"{registered.name} {registered.version}"}
    tags |= {name: value for name, value in facts.items() if name in ("stop_reason", "verdict")}
    if run.tracker is not None:
        run.tracker.tag(tags)
        run.tracker.log_figures(key_figures(run.manifests))


def print_outcome(console: Console, outcome: "Outcome", options: str = "") -> None:
    """The report at the end of a run; `options` goes with the commands that it names."""
    console.print()
    console.print(_stage_table(outcome))
    if outcome.until is not None:
        console.print(f"Ended with {outcome.until}, as was asked; gristmill run goes on from there.")
        return
    for line in _facts(outcome):
        console.print(line)
    if outcome.registered is not None:
        console.print(gate_table(outcome.registered.checks, "Gate"))
        console.print(_quality_table(outcome.manifests["compress"]))
        for sample in _samples(outcome.manifests["release"]):
            console.print(sample)
    console.print(f"\nSee it in the UIs:     gristmill ui{options}")
    if outcome.registered is not None:
        console.print(_use(outcome.manifests["release"]) + options)


def _stage_table(outcome: "Outcome") -> Table:
    table = Table(title=f"Run {outcome.record.run_id}", title_justify="left", expand=False)
    table.add_column("Stage", no_wrap=True)
    table.add_column("What it made")
    for name in ("When made", "Seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Result", no_wrap=True)
    for row in stage_rows(outcome.record, outcome.manifests):
        table.add_row(*(Text(value) for value in vars(row).values()))
    return table


def _facts(outcome: "Outcome") -> Iterator[Text]:
    facts = trained(outcome.manifests).metrics.facts
    verdict, reason = facts.get("verdict", "?"), facts.get("stop_reason", "?")
    yield Text(f"Training stopped: {verdict} ({reason})")
    registered = outcome.registered
    if registered is None:
        folder = trained(outcome.manifests).place / MODEL
        yield Text(f"Not released: export and release take no model of this kind; it is in {folder}")
        return
    aliases = f", now @{', @'.join(registered.aliases)}" if registered.aliases else ""
    yield Text(f"Registered: {registered.name} version {registered.version}{aliases}")
    yield Text(f"Gate: {registered.decision}")


def _quality_table(compress: Manifest) -> Table:
    """What quantization cost and brought, one row per variant."""
    variants = json.loads(compress.file("quality.json").read_text(encoding="utf-8"))
    table = Table(title="Exported variants", title_justify="left")
    table.add_column("Variant", no_wrap=True)
    speeds = {variant: found for variant in variants if (found := speed_of(compress, variant))}
    shown = {key: named for key, named in _QUALITY.items() if all(key in found for found in variants.values())}
    unit = next((unit for _, unit in speeds.values()), "tokens").capitalize()
    for name in ("MB", *(label for label, _ in shown.values()), f"{unit}/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for variant, found in variants.items():
        figures = [format(found[name], style) for name, (_, style) in shown.items()]
        speed = f"{speeds[variant][0]:,.0f}" if variant in speeds else ""
        table.add_row(variant, f"{found['bytes'] / 1e6:.1f}", *figures, speed)
    return table


def _samples(release: Manifest) -> Iterator[Text]:
    samples = json.loads(release.file("bundle/samples.json").read_text(encoding="utf-8"))
    yield Text("What it writes:" if _kind(release) is None else "What it says:")
    for sample in samples[:_NUM_SAMPLES]:
        text = shortened(sample["continuation"], _SAMPLE_CHARACTERS)
        yield Text.assemble(("  " + sample["prompt"], "bold"), " | ", text)


def _use(release: Manifest) -> str:
    """A command to use the model with."""
    if (kind := _kind(release)) is not None:
        return f"Ask the model:         gristmill {kind.command} 'some text'"
    return "Write with the model:  gristmill generate 'Once upon a'"


def _kind(release: Manifest) -> Kind | None:
    facts = json.loads(release.file("bundle/bundle.json").read_text(encoding="utf-8"))
    return kind_named(facts.get("kind", ""))


def _result(reused: bool) -> str:
    return "reused" if reused else "made"
