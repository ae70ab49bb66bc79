"""The `telegram/` folder beside a library of that name, each case in a fresh interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """\
import sys
from pathlib import Path
from core.domain.errors import ConfigError
from core.kernel.source_roots import add_telegram_root
project = Path(sys.argv[1])
try:
    add_telegram_root(project)
    add_telegram_root(project)
except ConfigError as error:
    print(error)
else:
    import telegram, tgbot.commands
    print(telegram.WHO, tgbot.commands.WHO, sys.path.count(str(project / "telegram")))
    print(sys.path[-1] == str(project / "telegram"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "project" / "telegram" / "tgbot"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "commands.py").write_text("WHO = 'our bot'\n")
    return tmp_path / "project"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    package = tmp_path / "library" / "telegram"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("WHO = 'the library'\n")
    return tmp_path / "library"


def ask(project: Path, *path: Path) -> str:
    """Run the program with `project` first on the path, then ours, without site-packages."""
    return subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, str(project)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (project, ROOT, *path)))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_library_and_our_package_live_side_by_side(project: Path, library: Path) -> None:
    assert ask(project, library) == "the library our bot 1\nTrue\n"


def test_without_the_library_it_says_what_is_missing(project: Path) -> None:
    assert ask(project).startswith("python-telegram-bot is not installed")


def test_an_init_file_in_the_folder_is_named_as_the_culprit(project: Path, library: Path) -> None:
    (project / "telegram" / "__init__.py").write_text("")
    answer = ask(project, library)
    assert "hides the library" in answer
    assert str(project / "telegram" / "__init__.py") in answer
