"""What is printed rather than logged: standard output (floor 1).

A terminal that cannot show a character gets its number, and a reader that has gone (`| head`) is
no error: a run must not end with a traceback because of its last words.
"""

import os
import sys


def print_out(text: str) -> None:
    """Write `text` and a newline on standard output, at once."""
    try:
        try:
            sys.stdout.write(f"{text}\n")
        except UnicodeEncodeError:
            sys.stdout.write(f"{text.encode('ascii', 'backslashreplace').decode()}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end: let it write where somebody reads.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
