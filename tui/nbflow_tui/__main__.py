"""`python -m nbflow_tui [HOME]`: the monitor without the command line's options."""

import sys

from nbflow.client.homes import find_home
from nbflow_tui.app import run

if __name__ == "__main__":
    sys.exit(run(find_home(sys.argv[1] if len(sys.argv) > 1 else None)))
