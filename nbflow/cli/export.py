"""`nbflow export`: a module out of a notebook, without a kernel."""

import argparse

from nbflow.cli import failures, output
from nbflow.model import safe_text
from nbflow.notebook import exporting


def export(options: argparse.Namespace) -> int:
    """Write a module with a workflow of a notebook and all that it needs."""
    exported = exporting.export_target(options.target)
    for warning in exported.warnings:
        failures.tell(f"warning: {warning}")
    if options.file == "-":
        output.write(exported.text)
        return 0
    path = exporting.check_file(options.file, exported.name, force=options.force)
    output.write(safe_text(exporting.write(path, exported)) + "\n")
    return 0
