"""Micro-lot test of the configured exchange: `python -m tools.prod_smoke` (floor 8).

Open, stop and take-profit, verify, close, verify clean; always cleans up. Refuses production
without `--yes-real-money`.

Exit codes: 0 every step passed and the account is clean, 1 a step failed, 2 wrong usage or
configuration, 3 the account cannot trade, 4 a daemon holds the data folder, 5 the exchange cannot
be read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/prod_smoke.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.common.cli import finish_async
from tools.common.smoke import smoke, smoke_parser

NAME = "prod_smoke"


def main(argv: Sequence[str] | None = None) -> int:
    made = smoke_parser(NAME, "The smallest trade, start to finish, on the configured exchange.")
    made.add_argument(
        "--yes-real-money", action="store_true", help="needed in production: costs fees"
    )
    options = made.parse_args(argv)
    return finish_async(NAME, lambda: smoke(options, real_money=options.yes_real_money))


if __name__ == "__main__":
    sys.exit(main())
