"""torchrun's agent as a process that ends with its parent: `python -m tasks.training.agent …torchrun arguments`."""

import os
import sys

from tasks.training.parent import die_with_parent, named_parent


def main(arguments: list[str]) -> None:
    """Run torchrun in this process; its ranks end with it."""
    from torch.distributed.run import main as torchrun

    os.environ.update(named_parent())
    torchrun(arguments)


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1:])
