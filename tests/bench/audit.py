"""Licence of every package that gristmill needs, and known holes in them where pip-audit can ask: make audit.

The exit code is 1 where a package names no licence or has a known hole.
"""

import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
UNKNOWN = "unknown"


def main() -> int:
    """Print both; 0 where all is well."""
    found = dict(sorted(needed("gristmill", ("s3", "serve", "ray", "dask")).items(), key=lambda item: item[0].lower()))
    for name, package in found.items():
        print(f"{name} {package.version}: {licence(package)}")
    nameless = [name for name, package in found.items() if licence(package) == UNKNOWN]
    print(f"AUDIT packages={len(found)} without_licence={len(nameless)} {' '.join(nameless)}".rstrip())
    return int(bool(nameless)) | known_holes()


def needed(root: str, extras: tuple[str, ...]) -> dict[str, Distribution]:
    """What is installed of everything that a package needs, itself left out."""
    found: dict[str, Distribution] = {}
    waiting, seen = [(root, extras)], set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[canonical(name)] = package
        for line in package.requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                waiting.append((requirement.name, tuple(sorted(requirement.extras))))
    del found[canonical(root)]
    return found


def canonical(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """By expression (PEP 639), else by classifier, else the first line of the field, else of the licence's file."""
    about = package.metadata
    if stated := about.get("License-Expression"):
        return str(stated)
    classified = [str(line).rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if "License ::" in line]
    if named := [one for one in classified if one != "OSI Approved"]:
        return " or ".join(named)
    if free := str(about.get("License") or "").strip().splitlines():
        return free[0]
    files = [file for file in package.files or [] if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    lines = [line.strip() for file in files[:1] for line in file.read_text().splitlines() if line.strip()]
    return lines[0] if lines else UNKNOWN


def known_holes() -> int:
    """Ask pip-audit; 0 also where it is not installed or has no network, and that is said."""
    if find_spec("pip_audit") is None:
        print("pip-audit is not installed (pip install pip-audit): known holes were not looked up")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Found" in done.stderr or done.returncode == 0:
        print(done.stdout + done.stderr)
        return done.returncode
    print(f"pip-audit could not ask: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
