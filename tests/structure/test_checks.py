"""Each check finds what it is for in a small tree made to break it, and is silent on a good one."""

import shutil
from pathlib import Path

import pytest

from checks.structure import violations

ROOT = Path(__file__).resolve().parents[2]
DOC = '"""A module."""\n'
GOOD = {
    "core/__init__.py": DOC,
    "core/domain/__init__.py": DOC,
    "core/domain/intent.py": DOC + "class ApprovedEntry: ...\n",
    "core/domain/money.py": DOC + "from decimal import Decimal\n\nZERO = Decimal(0)\n",
    "core/kernel/clock.py": DOC + "import time\n\nNOW = time.time\n",
    "core/config.py": DOC + "from core.domain.money import ZERO\n\nLIMIT = ZERO\n",
    "core/pre_trade_check.py": DOC
    + "from core.domain.intent import ApprovedEntry\n\nAPPROVED = ApprovedEntry()\n",
    "core/storage/database.py": DOC + "import sqlite3\n\nCONNECT = sqlite3.connect\n",
    "strategies/simple.py": DOC + "import core.domain.money\n\nZERO = core.domain.money.ZERO\n",
    "telegram/tgbot/commands.py": DOC + "from telegram.ext import Application\n\nA = Application\n",
    "tests/core/test_money.py": DOC + "def test_it() -> None: ...\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "floors.toml", tmp_path)
    for path, text in GOOD.items():
        write(tmp_path, path, text)
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def found(root: Path) -> set[tuple[str, str]]:
    """(path, rule) of everything found, without the files this small tree cannot have."""
    return {
        (each.path, each.rule)
        for group in violations(root).values()
        for each in group
        if each.rule != "required"
    }


def test_a_good_tree_has_no_violation(tree: Path) -> None:
    assert found(tree) == set()


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        # floors
        ("core/domain/bad.py", "import core.config\n", "floor"),
        ("core/domain/bad.py", "from core import config\n", "floor"),
        ("core/domain/bad.py", "from ..config import LIMIT\n", "floor"),
        ("core/kernel/bad.py", "from core.storage import database\n", "floor"),
        ("core/paper/bad.py", "from core.storage.database import CONNECT\n", "floor"),
        ("strategies/bad.py", "from core.config import LIMIT\n", "floor"),
        ("core/newcomer.py", "", "floor"),
        ("core/app.py", "import tests.helpers\n", "floor"),
        # hidden imports
        ("core/app.py", "def f() -> None:\n    import core.config\n", "lazy-import"),
        ("core/app.py", "async def f():\n    from core import config\n", "lazy-import"),
        ("core/app.py", "from typing import TYPE_CHECKING as T\n\nif T: pass\n", "type-checking"),
        ("core/app.py", "import typing\n\nif typing.TYPE_CHECKING: pass\n", "type-checking"),
        ("core/app.py", "import importlib\n\nimportlib.import_module('x')\n", "hidden-import"),
        # restricted libraries
        ("core/oms/bad.py", "import ccxt.async_support\n", "restricted-import"),
        ("core/app.py", "import sqlite3\n", "restricted-import"),
        ("core/app.py", "import telegram.ext\n", "restricted-import"),
        ("core/domain/bad.py", "import asyncio\n", "restricted-import"),
        ("strategies/bad.py", "from os import environ\n", "restricted-import"),
        ("bootstrap.py", "import requests\n", "restricted-import"),
        # clock
        ("core/app.py", "import time\n\ntime.time()\n", "clock"),
        ("core/app.py", "from time import monotonic as m\n\nm()\n", "clock"),
        ("core/app.py", "import time as t\n\nx = t.perf_counter\n", "clock"),
        ("core/app.py", "import datetime as d\n\nd.datetime.now(d.UTC)\n", "clock"),
        ("core/app.py", "from datetime import datetime\n\ndatetime.utcnow()\n", "clock"),
        ("core/app.py", "from datetime import date\n\ndate.today()\n", "clock"),
        ("core/app.py", "import asyncio\n\nasyncio.sleep(1)\n", "clock"),
        ("tests/core/test_bad.py", "import asyncio\n\nasyncio.sleep(1)\n", "clock"),
        ("tests/core/test_bad.py", "from time import sleep\n\nsleep(1)\n", "clock"),
        # chance
        ("core/app.py", "import uuid\n\nuuid.uuid4()\n", "chance"),
        ("core/app.py", "import random\n\nrandom.random()\n", "chance"),
        ("core/app.py", "from random import shuffle\n", "chance"),
        ("core/app.py", "import random\n\nr = random.Random(7)\n", "chance"),
        ("core/app.py", "import numpy as np\n\nnp.random.default_rng()\n", "chance"),
        # tasks and signals
        ("core/app.py", "import asyncio\n\nasyncio.create_task(f())\n", "tasks"),
        ("core/app.py", "def f(loop): loop.create_task(g())\n", "tasks"),
        ("core/app.py", "from asyncio import ensure_future\n", "tasks"),
        ("core/app.py", "import asyncio\n\nasyncio.wait([])\n", "tasks"),
        ("core/app.py", "def f(loop): loop.add_signal_handler(2, g)\n", "signals"),
        # approval and sending
        (
            "core/app.py",
            "from core.domain.intent import ApprovedEntry\n\nApprovedEntry()\n",
            "approval",
        ),
        (
            "core/app.py",
            "from core.domain import intent\n\nintent.ApprovedEntry()\n",
            "approval",
        ),
        ("core/app.py", "async def f(port): await port.submit(1, 2)\n", "submit"),
        ("core/app.py", "async def f(port): await port.cancel('S', 'c', lane=1)\n", "submit"),
        # swallowed errors
        ("core/app.py", "try:\n    f()\nexcept Exception:\n    pass\n", "swallow"),
        ("core/app.py", "try:\n    f()\nexcept (OSError, Exception):\n    ...\n", "swallow"),
        ("core/app.py", "try:\n    f()\nexcept:\n    raise\n", "swallow"),
        (
            "core/app.py",
            "def f():\n    try:\n        g()\n    except BaseException:\n        return None\n",
            "swallow",
        ),
        (
            "tests/core/test_bad.py",
            "from contextlib import suppress\n\nwith suppress(Exception):\n    f()\n",
            "swallow",
        ),
        # coin-margined endpoints
        ("core/app.py", "URL = 'https://dapi.example/dapi/v1'\n", "coin-margined"),
        ("core/app.py", "def f(x): return x.dapiPrivateGetBalance()\n", "coin-margined"),
        ("core/app.py", "def f(x): return f'wss://dstream.{x}'\n", "coin-margined"),
        # sizes and reasons
        ("core/app.py", "x = 1\n" * 600, "file-size"),
        ("core/app.py", "def f():\n" + "    x = 1\n" * 70, "function-size"),
        ("core/app.py", f"x = '{'y' * 100}'\n", "columns"),
        ("core/app.py", "x = f()  # noqa\n", "unexplained"),
        ("core/app.py", "x = f()  # noqa: BLE001\n", "unexplained"),
        ("core/app.py", "x = f()  # type: ignore\n", "unexplained"),
        ("core/app.py", "x = f()  # type: ignore[attr-defined]\n", "unexplained"),
        # layout
        ("core/test_stray.py", "", "stray-test"),
        ("tests/core/__init__.py", "", "stray-test"),
        ("tests/other/test_money.py", "", "stray-test"),
        ("telegram/__init__.py", "", "import-root"),
        ("telegram/bot.py", "", "import-root"),
        ("tools/signal.py", "", "import-root"),
        ("telegram/logging/__init__.py", "", "import-root"),
        ("queue.py", "", "import-root"),
        ("core/app.py", "def broken(:\n", "syntax"),
    ],
)
def test_a_violation_is_found(tree: Path, path: str, text: str, rule: str) -> None:
    write(tree, path, DOC + text)
    assert (path, rule) in found(tree)


def test_a_cycle_is_found_across_any_number_of_modules(tree: Path) -> None:
    for here, there in (("a", "b"), ("b", "c"), ("c", "a")):
        write(tree, f"core/oms/{here}.py", f"{DOC}import core.oms.{there}\n")
    write(tree, "core/oms/d.py", f"{DOC}import core.oms.a\n")
    cycles = [each for each in violations(tree)["floors"] if each.rule == "cycle"]
    assert [each.text for each in cycles] == [
        "modules import each other: core.oms.a, core.oms.b, core.oms.c"
    ]


def test_a_module_without_a_docstring_is_found(tree: Path) -> None:
    write(tree, "core/app.py", "X = 1\n")
    assert ("core/app.py", "docstring") in found(tree)


def test_a_sample_file_that_names_the_coin_margined_book_is_found(tree: Path) -> None:
    write(tree, ".env.example", "REST_URL=https://dapi.example\n")
    assert (".env.example", "coin-margined") in found(tree)


def test_a_missing_file_is_found(tree: Path) -> None:
    missing = {each.path for each in violations(tree)["layout"] if each.rule == "required"}
    assert "README.md" in missing
    assert "core/config.py" not in missing


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\n\nasyncio.sleep(0)\n",  # lets others run, waits for nothing
        "import random\n\nrandom.Random(7)\n",
        "async def f(task): task.cancel('reason')\n",
    ],
)
def test_what_tests_may_do(tree: Path, text: str) -> None:
    write(tree, "tests/core/test_fine.py", DOC + text)
    assert found(tree) == set()


@pytest.mark.parametrize(
    "text",
    [
        "import random\n\ndef f(dice: random.Random) -> float:\n    return dice.random()\n",
        "from datetime import UTC, datetime\n\nX = datetime.fromtimestamp(0, UTC)\n",
        "def f(task): task.cancel()\n",
        "try:\n    f()\nexcept Exception as error:  # noqa: BLE001 - border\n    report(error)\n",
        "try:\n    f()\nexcept OSError:\n    pass\n",
        'def f():\n    """Never dapi."""\n',
        "x = g()  # type: ignore[no-untyped-call]  # the library has no types\n",
        f"x = f({'y' * 80})  # noqa: BLE001 - a reason that does not fit into the width\n",
    ],
)
def test_what_program_code_may_do(tree: Path, text: str) -> None:
    write(tree, "core/app.py", DOC + text)
    assert found(tree) == set()
