"""torchrun's agent as a process that ends with its parent: `python -m tasks.training.agent …torchrun arguments`."""

import sys

from tasks.training.parent import die_with_parent


def main(arguments: list[str]) -> None:
    """Run torchrun in this process."""
    from torch.distributed.run import main as torchrun

    torchrun(arguments)


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1:])
