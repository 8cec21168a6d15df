"""Kills what steps' processes have started, when the engine dies without doing so.

Run as a script by the engine, once, without nbflow or site packages: reads lines
"+GROUP" and "-GROUP" from its standard input. When the engine is gone, which a
`kill -9` does not let it announce, the process groups still on the list are killed.
"""

import os
import select
import signal
import sys


def main() -> None:
    """Watch until the engine's end."""
    engine = int(sys.argv[1])
    sources = [0]
    if hasattr(os, "pidfd_open"):
        try:
            sources.append(os.pidfd_open(engine))
        except OSError:  # an old kernel, or the engine is gone
            pass
    groups: set[int] = set()
    rest = b""
    # The pipe alone is not enough: a fork of the engine may hold its other end.
    while os.getppid() == engine:
        pause = None if len(sources) > 1 else 0.5
        if 0 not in select.select(sources, [], [], pause)[0]:
            continue
        data = os.read(0, 4096)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:  # it has ended
            pass


if __name__ == "__main__":
    main()
