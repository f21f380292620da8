"""Shards that go from one result to another as they are."""

import os
import shutil
from pathlib import Path

from tasks.artifacts.digest import commit


def link_shard(shard: Path, target: Path) -> None:
    """Hard-link a shard, or copy it where that cannot be done; unless it is there. `target` appears whole."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(shard, temporary)
    except OSError:
        shutil.copyfile(shard, temporary)
    commit(temporary, target)
