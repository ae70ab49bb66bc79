"""Micro-lot test of the demo network: `python -m tools.testnet_smoke` (floor 8).

Open, stop and take-profit, verify, close, verify clean; always cleans up. Uses the demo network
whatever the configuration says.

Exit codes: 0 every step passed and the account is clean, 1 a step failed, 2 wrong usage or
configuration, 3 the account cannot trade, 4 a daemon holds the data folder, 5 the exchange cannot
be read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/testnet_smoke.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.common.cli import finish_async
from tools.common.smoke import smoke, smoke_parser

NAME = "testnet_smoke"


def main(argv: Sequence[str] | None = None) -> int:
    options = smoke_parser(NAME, "The smallest trade, start to finish, on the demo network.")
    args = options.parse_args(argv)
    return finish_async(
        NAME, lambda: smoke(args, real_money=False, TESTNET="true", DRY_RUN="false")
    )


if __name__ == "__main__":
    sys.exit(main())
