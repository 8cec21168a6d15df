"""`nbflow doctor`: is everything in order with the stores of a home?"""

import argparse
import sys

import nbflow
from nbflow.cli import output, places
from nbflow.client.checks import Finding, check_home
from nbflow.view import finding_line, plural


def doctor(options: argparse.Namespace) -> int:
    """Check the home and its stores; 1 if something is wrong."""
    found: list[Finding] = []
    home = places.home_of(options)
    apps = None
    if options.app is not None:
        apps = [client.app for client in places.clients(options)]
    for finding in check_home(home, apps, version=nbflow.__version__):
        found.append(finding)
        if not options.json:
            output.write_lines([finding_line(*finding, output.look_of(sys.stdout))])
    if options.json:
        output.write_json([each._asdict() for each in found])
    wrong = sum(each.state == "wrong" for each in found)
    if not options.json:
        end = f"{plural(wrong, 'problem')} found" if wrong else "all is well"
        output.write(f"\n{end}\n")
    return 1 if wrong else 0
