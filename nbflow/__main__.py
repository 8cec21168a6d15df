"""`python -m nbflow`."""

import sys

from nbflow.cli.startup import program

if __name__ == "__main__":
    sys.exit(program())
