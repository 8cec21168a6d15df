"""`python -m nbflow`."""

import sys

from nbflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
