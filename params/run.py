"""Where, how many and how fast: settings that never change a result's bytes."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from params.base import Params
from params.place import check_options, check_url
from params.watch import WatchParams

Parallel = Literal["ddp", "zero2", "zero3"]
_ELSEWHERE = {
    "deepspeed": "zero2 (as its ZeRO-2) or zero3 (as its ZeRO-3)",
    "zero1": "zero2, which shares out the gradients as well and sends no more",
    "fsdp": "zero3 (full shard) or zero2 (shard grad op)",
    "fsdp2": "zero3 (resharded after forward) or zero2 (not resharded)",
}
"""What other trainers call the ways to share out, and what to set here."""


class RunParams(Params):
    """Outside every fingerprint: the same recipe gives the same bytes whatever is set here."""

    workers: int | None = Field(default=None, ge=1)
    """Shards worked on at the same time; null for one per processor core."""
    engine: Literal["threads", "ray", "dask"] = "threads"
    """What works on the shards: threads of this process, or a Ray or Dask cluster (docs/scaling.md)."""
    engine_address: str | None = None
    """A cluster of your own, as ray://head:10001 or tcp://scheduler:8786; null starts one on this machine, of `workers`
    processes."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of each training rank; null for one per core, shared among the ranks."""
    ranks: int = Field(default=1, ge=1)
    """Training processes on each machine, started by torchrun."""
    nodes: int = Field(default=1, ge=1)
    """Machines that train together; the others run gristmill node on the same home (a shared file system)."""
    rendezvous: str | None = Field(default=None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:/]+):[1-9][0-9]{0,4}$")
    """HOST:PORT of the first machine where all of them meet; needed when there are several."""
    parallel: Parallel = "ddp"
    """What each rank holds: ddp, a copy of everything; zero2, a part of gradients and optimizer states; zero3, of the
    weights as well (both by torch's FSDP2)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training and evaluation run; auto takes a GPU when there is one."""
    compile: bool = True
    """Compile the model with torch.compile; without a C++ compiler training says so and goes on uncompiled."""
    checkpoint_every_s: float = Field(default=60.0, gt=0)
    """Seconds of training between two checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """How many of the newest checkpoints stay on disk while training."""
    log_every_s: float = Field(default=5.0, gt=0)
    """Seconds between two progress lines and between two batches of curve points sent to MLflow."""
    watch: WatchParams = WatchParams()
    """Who else watches training."""
    watts: float | None = Field(default=None, gt=0)
    """Power of all devices that train, for the energy in card and report; null for a table's or an assumed one."""
    price_per_hour: float | None = Field(default=None, ge=0)
    """Price of an hour of all machines of the run, for the cost in card and report; null for a table's, if any."""
    home: Path | None = None
    """Folder of the store, MLflow's and Prefect's data; null for GRISTMILL_HOME or ./.gristmill."""
    store: str | None = None
    """URL of a store that several homes share, such as s3://bucket/prefix (docs/store.md); null for GRISTMILL_STORE or
    none."""
    store_options: dict[str, Any] = Field(default={})
    """How it is reached: {endpoint_url: …}; secrets go into its environment."""

    mirror_every_s: float | None = Field(default=600.0, gt=0)
    """Seconds between two copies of training's newest checkpoint in that store, for another home to go on from; null
    for none."""

    @model_validator(mode="after")  # of the model and not of the field, whose value an error would repeat
    def _store_holds_no_secret(self) -> Self:
        if self.store is not None:
            if "://" not in self.store:
                raise ValueError(f"store {self.store!r} is no URL; write s3://bucket/prefix or file:///folder")
            check_url(self.store, "store")
        check_options(self.store_options)
        return self

    @field_validator("parallel", mode="before")
    @classmethod
    def _names_what_is_shared_out(cls, value: Any) -> Any:
        if isinstance(value, str) and value.lower() in _ELSEWHERE:
            raise ValueError(
                f"did you mean {_ELSEWHERE[value.lower()]}? By torch's FSDP2 (docs/training.md, DeepSpeed)"
            )
        return value

    @model_validator(mode="after")
    def _machines_can_meet(self) -> Self:
        if self.nodes > 1 and self.rendezvous is None:
            raise ValueError(f"nodes {self.nodes} need rendezvous, HOST:PORT of the first machine, to meet")
        return self

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.engine == "threads" and self.engine_address is not None:
            raise ValueError(f"engine_address {self.engine_address} needs an engine; set engine to ray or dask")
        return self
