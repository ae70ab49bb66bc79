"""The second source root, `telegram/`, which holds the package `tgbot` (floor 1).

The folder has the import name of python-telegram-bot on purpose and is no package. A regular
package on any later path entry wins over such a bare folder, so `from telegram.ext import …` is the
library. Without the library the bare folder would be imported silently as an empty namespace
package: hence the check. Called only where the bot is built, so that a daemon without Telegram
does not load the library.
"""

import importlib.util
import sys
from pathlib import Path

from core.domain.errors import ConfigError

_FOLDER = "telegram"


def add_telegram_root(project: Path, *, library: bool = True) -> None:
    """Make `tgbot` importable by appending `project/telegram` to `sys.path`. Idempotent.

    `library` is False when only the parts that do without the library are wanted. Raises
    ConfigError when the library is missing or the project's folder hides it.
    """
    folder = (project / _FOLDER).resolve()
    if library:
        _check_library(folder)
    if str(folder) not in sys.path:
        # appended, never inserted: nothing in the folder may shadow an installed module
        sys.path.append(str(folder))


def _check_library(folder: Path) -> None:
    spec = importlib.util.find_spec(_FOLDER)
    if spec is None or spec.origin is None:  # a namespace package has no origin
        raise ConfigError(
            ["python-telegram-bot is not installed: install requirements.txt, or unset the token"]
        )
    if Path(spec.origin).resolve().is_relative_to(folder):
        raise ConfigError(
            [f"{spec.origin} hides the library python-telegram-bot: the folder must stay bare"]
        )
