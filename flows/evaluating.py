"""Any model through the evaluation of the pipeline, as a deployment: prefect deployment run evaluating/NAME."""

from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.console import prefect_logs
from flows.home import open_home
from flows.measuring import figure_rows
from tasks.artifacts.store import Store
from tasks.measure import Measured, measure


@flow(persist_result=False)
def evaluating(
    model: str,
    on: list[str] | None = None,
    variant: str | None = None,
    overrides: dict[str, Any] | None = None,
    text_field: str = "text",
) -> Measured:
    """Measure a model, and log the figures to MLflow under the names of the pipeline's evaluation.

    Args:
        model: A path, a run's id, NAME@ALIAS or NAME/VERSION.
        on: Files, folders or runs whose text it is measured on; the test documents of its own run where left out.
        variant: An ONNX variant of a bundle or a registered version, or transformers.
        overrides: Values of section evaluate, such as {"max_documents": 100}.
        text_field: Column or key of the text in files that have several.
    """
    store = Store(open_home(None).store)
    as_task = task(name="measure", task_run_name="measure", cache_policy=NO_CACHE, persist_result=False)(measure)
    with prefect_logs():
        done: Measured = as_task(model, on or [], overrides or {}, store=store, variant=variant, text_field=text_field)
    create_table_artifact(table=figure_rows(done.report), key="evaluation", description=f"Evaluation of {done.name}")
    return done
