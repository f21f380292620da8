"""Licence of every package that gristmill needs, and known holes in them where pip-audit can ask: make audit.

The exit code is 1 where a package names no licence, or has a known hole that another version has not. With --licences
only those are looked at (CI, seconds).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
UNKNOWN = "unknown"


def main() -> int:
    """Print what was asked for; 0 where all is well."""
    found = dict(sorted(needed("gristmill", ("s3", "serve", "ray", "dask")).items(), key=lambda item: item[0].lower()))
    if "--licences" not in sys.argv:
        for name, package in found.items():
            print(f"{name} {package.version}: {licence(package)}")
    nameless = [name for name, package in found.items() if licence(package) == UNKNOWN]
    print(f"AUDIT packages={len(found)} without_licence={len(nameless)} {' '.join(nameless)}".rstrip())
    return int(bool(nameless)) | (0 if "--licences" in sys.argv else known_holes())


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
    """Ask pip-audit about every locked version: 1 where a hole has a version without it, 0 otherwise.

    Where pip-audit is not installed, or its service (PyPI, or an OSV server at AUDIT_OSV_URL) does not answer, that is
    said and nothing fails.
    """
    program = find_program()
    if program is None:
        print("HOLES not looked up: pip-audit is not installed (make audit installs it where it can)")
        return 0
    command = [program, "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--desc", "off", "--timeout", "10"]
    if url := os.environ.get("AUDIT_OSV_URL"):
        command += ["--vulnerability-service", "osv", "--osv-url", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        print(f"HOLES not looked up: {(done.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1][:300]}")
        return 0
    return judge(json.loads(done.stdout))


def find_program() -> str | None:
    """pip-audit in the environment of its own, else on the path."""
    own = ROOT / ".venv" / "audit" / "bin" / "pip-audit"
    return str(own) if own.exists() else shutil.which("pip-audit")


def judge(found: dict[str, Any]) -> int:
    """Print each hole with its remedy; one without a remedy is told, but stops nobody."""
    num_fixable = num_open = 0
    for package in found["dependencies"]:
        for hole in package.get("vulns", []):
            fixes = ", ".join(hole["fix_versions"])
            remedy = f"fixed in {fixes}" if fixes else "no fix yet"
            print(f"{package['name']} {package['version']}: {hole['id']}, {remedy}")
            num_fixable += bool(fixes)
            num_open += not fixes
    print(f"HOLES packages={len(found['dependencies'])} with_fix={num_fixable} without_fix={num_open}")
    return int(num_fixable > 0)


if __name__ == "__main__":
    sys.exit(main())
