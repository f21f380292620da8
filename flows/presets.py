"""gristmill presets and schema: what can be run, and help for editors."""

import argparse

from flows.out_file import check_out, write_out
from params.load import find_preset, preset_names
from params.schema import schema_text


def list_presets(arguments: argparse.Namespace) -> int:
    """Print the built-in presets with the first comment line of each."""
    for name in preset_names():
        path = find_preset(name)
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        print(f"{name:<12} {first.lstrip('# ')}\n{'':<12} {path}")
    return 0


def write_schema(arguments: argparse.Namespace) -> int:
    """Write the JSON schema and print its path."""
    check_out(arguments.out)
    write_out(arguments.out, schema_text())
    print(arguments.out)
    return 0
