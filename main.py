"""Entry point: parse, configure, run, print (floor 8).

Flags are parsed before anything else happens; what a run needs is loaded after its configuration
has proved valid. Exit codes: `core.assembly.exit_codes`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.app import RunOptions, run_daemon
from core.assembly.exit_codes import ExitCode
from core.config import TradingConfig, explain, render_effective
from core.domain.errors import ConfigError
from core.kernel.build_info import VERSION, commit, python_version
from core.kernel.signals import interruptible
from core.kernel.terminal import print_out

_NO_KEYS = "no API keys are configured"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="main.py",
        description="Trades Binance USDⓈ-M perpetual futures. Educational software, not advice.",
    )
    made.add_argument("--dry-run", action="store_true", help="trade on the paper exchange")
    made.add_argument("--once", action="store_true", help="one complete pass, then stop")
    made.add_argument("--check", action="store_true", help="validate and show, then stop")
    made.add_argument(
        "--explain",
        nargs="?",
        const="",
        metavar="KEY",
        help="value, origin, default, bounds and meaning of one setting, or of all",
    )
    made.add_argument("--reset-runtime", action="store_true", help="forget runtime overrides")
    made.add_argument("--env-file", type=Path, metavar="PATH", help="settings file (.env)")
    made.add_argument("--data-dir", metavar="DIR", help="database and state")
    made.add_argument("--logs-dir", metavar="DIR", help="logs and audit")
    made.add_argument("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR")
    made.add_argument("--symbols", metavar="LIST", help="as SYMBOLS")
    made.add_argument("--strategy", metavar="NAMES", help="as STRATEGY")
    made.add_argument("-V", "--version", action="store_true", help="version, commit, interpreter")
    return made


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Settings given on the command line, by key."""
    given = {
        "DRY_RUN": "true" if args.dry_run else None,
        "DATA_DIR": args.data_dir,
        "LOGS_DIR": args.logs_dir,
        "LOG_LEVEL": args.log_level,
        "SYMBOLS": args.symbols,
        "STRATEGY": args.strategy,
    }
    return {key: value for key, value in given.items() if value is not None}


def load(args: argparse.Namespace) -> TradingConfig:
    """The configuration of this run. Without keys it trades paper and says so."""
    config = TradingConfig.from_env(
        env_file=args.env_file, overrides=overrides(args), reset_runtime=args.reset_runtime
    )
    if not config.dry_run and not config.has_keys:
        return config.with_dry_run(_NO_KEYS)
    return config


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.version:
        print_out(f"USDC Futures Bot {VERSION} ({commit()}), {python_version()}")
        return ExitCode.OK
    try:
        config = load(args)
        if args.explain is not None:
            print_out(explain(config, args.explain or None))
            return ExitCode.OK
        if args.check:
            print_out(render_effective(config))
        with interruptible():
            return run_daemon(config, RunOptions(once=args.once, check=args.check))
    except KeyboardInterrupt:
        print("stopped by a signal before anything was begun", file=sys.stderr)
        return ExitCode.OK
    except ConfigError as error:
        for problem in error.problems:
            print(f"configuration: {problem}", file=sys.stderr)
        return ExitCode.CONFIG


if __name__ == "__main__":
    sys.exit(main())
