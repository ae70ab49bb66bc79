"""What the documents say is true of the tree: links, commands, modules, the example strategy."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import main
import strategies
from core.config import TradingConfig
from core.domain.enums import Direction, PaperFeed
from core.domain.market import CandleArrays
from core.domain.strategy import NoSignal, Signal
from core.kernel.config_model import CATALOGUE
from core.strategy_manager import StrategyManager, load_strategy

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".venv", ".git", ".hypothesis", ".pytest_cache", "data", "logs"}
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not SKIPPED & set(path.relative_to(ROOT).parts)
)
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
COMMAND = re.compile(r"^(?:sudo (?:-u \S+ )?)?(?:\S*/)?(?:python3?|py) +(?P<rest>.+)$")
OTHER_NAMES = {
    "CANDLE_ARCHIVE",
    "CLIENT_VENVS",
    "KEY_FILE",
    "ALGO_UPDATE",
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
}
OTHER_NAMES |= {"EXPIRE_MAKER", "AUTO_EXCHANGE", "INSURANCE_CLEAR"}
"""Words that look like settings and are not: a variable of the tests, a pattern, the exchange's."""
PROJECT = re.compile(r"^(?:bootstrap|main|validate_project|cleanup_project)\.py\b|^-m tools\.")


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return INLINE.sub("", FENCE.sub("", text))


def without_fences(document: Path) -> str:
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Heading anchors as code hosts make them."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=ident)
def test_links_lead_somewhere(document: Path) -> None:
    for found in LINK.finditer(without_code(document.read_text(encoding="utf-8"))):
        target, _, anchor = unquote(found["target"]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.is_relative_to(ROOT), found["target"]
        assert path.exists(), found["target"]
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), found["target"]


def test_every_document_is_in_the_index_of_its_folder() -> None:
    for index, folders in (
        ("README.md", ("docs", "docs/reference")),
        ("docs/adr/README.md", ("docs/adr",)),
    ):
        path = ROOT / index
        text = path.read_text(encoding="utf-8")
        linked = {(path.parent / found["target"]).resolve() for found in LINK.finditer(text)}
        there = {each for folder in folders for each in (ROOT / folder).glob("*.md")}
        assert there - {path} <= linked, index


@pytest.mark.parametrize("document", DOCUMENTS, ids=ident)
def test_tables_are_whole(document: Path) -> None:
    """A table begins with a head and its rule; every row has as many cells."""
    for block in re.findall(r"(?:^\|.*\n)+", without_fences(document), re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", INLINE.sub("", row))[1:-1] for row in block.splitlines()]
        assert len(rows) > 2, block
        assert all(set(cell.strip()) <= set("-:") for cell in rows[1]), block
        assert {len(row) for row in rows} == {len(rows[0])}, block


# --- commands ----------------------------------------------------------------------------------


def commands(document: Path) -> Iterator[list[str]]:
    """Arguments after the interpreter of every command of the project a document shows."""
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for fence in FENCE.finditer(text) for line in fence["body"].splitlines()]
    for line in lines + INLINE.findall(FENCE.sub("", text)):
        found = COMMAND.match(line.partition("  #")[0].strip())
        if found and PROJECT.match(found["rest"]):
            yield shlex.split(found["rest"])


def shown() -> list[tuple[str, tuple[str, ...]]]:
    return [(ident(path), tuple(each)) for path in DOCUMENTS for each in commands(path)]


@cache
def help_of(program: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, *program, "--help"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program}: {done.stderr[-500:]}"
    return done.stdout + done.stderr


def accepted_by_help(program: tuple[str, ...], arguments: list[str]) -> None:
    """Every option is one the program knows; that it starts at all is for the tests of tools."""
    options = [word for word in arguments if word.startswith("--") and word != "--help"]
    text = help_of(program) if options else ""
    assert [option for option in options if option not in text] == []


def accepted_by_main(arguments: list[str]) -> None:
    if "--help" not in arguments:
        main.parser().parse_args([word.strip("[]…") for word in arguments if word != "…"])


@pytest.mark.parametrize(("document", "words"), shown())
def test_commands_are_accepted(document: str, words: tuple[str, ...]) -> None:
    match list(words):
        case ["bootstrap.py", "run", *rest] | ["main.py", *rest]:
            accepted_by_main(rest)
        case ["bootstrap.py", "test", *_]:
            pass
        case ["-m", tool, *rest]:
            assert (ROOT / tool.replace(".", "/")).with_suffix(".py").is_file(), tool
            accepted_by_help(("-m", tool), rest)
        case [script, *rest]:
            assert (ROOT / script).is_file(), script
            accepted_by_help((script,), rest)


def test_the_commands_of_the_readme_are_found_at_all() -> None:
    found = [words for document, words in shown() if document == "README.md"]
    assert ("bootstrap.py", "run") in found
    assert ("bootstrap.py", "test") in found
    assert sum(words[0] == "-m" for words in found) >= 4


def test_the_translation_shows_the_same_commands_and_links() -> None:
    english, russian = ((ROOT / name) for name in ("README.md", "README.ru.md"))
    assert list(commands(english)) == list(commands(russian))
    there = {found["target"] for found in LINK.finditer(english.read_text(encoding="utf-8"))}
    here = {found["target"] for found in LINK.finditer(russian.read_text(encoding="utf-8"))}
    assert there - {"README.ru.md"} == here - {"README.md"}


# --- settings and names ---------------------------------------------------------------------------


def test_settings_that_documents_name_exist() -> None:
    known = set(CATALOGUE.names) | OTHER_NAMES
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        words = INLINE.findall(without_fences(document))
        words += [line for fence in FENCE.finditer(text) for line in fence["body"].splitlines()]
        named = {
            found[0] for word in words if (found := re.match(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", word))
        }
        assert named - known == set(), ident(document)


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_replay_recipe_is_a_valid_configuration(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fences = FENCE.finditer((ROOT / name).read_text(encoding="utf-8"))
    (recipe,) = [each["body"] for each in fences if each["body"].startswith("PAPER_FEED=")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "klines").mkdir()
    (tmp_path / ".env").write_text(recipe, encoding="utf-8")
    config = TradingConfig.from_env(environ={}, overrides={"DRY_RUN": "true"})
    assert config.paper_feed is PaperFeed.REPLAY
    assert config.resolved_paper_speed(PaperFeed.REPLAY) is None


def test_files_and_modules_that_documents_name_exist() -> None:
    floors = (ROOT / "floors.toml").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for word in INLINE.findall(without_fences(document)):
            if not re.fullmatch(
                r"(?:core|tools|docs|deploy|tests|checks|telegram)[./][\w./-]*", word
            ):
                continue
            path = word if "/" in word else word.replace(".", "/")
            there = [ROOT / path, ROOT / f"{path}.py", (ROOT / path).parent.with_suffix(".py")]
            found = any(each.exists() for each in there) or f'"{word}"' in floors
            assert found, f"{ident(document)}: {word}"


# --- architecture --------------------------------------------------------------------------------


def rooms() -> list[tuple[str, str]]:
    """(folder, module) of every line under "Rooms", in order."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found, folder = [], ""
    for line in text.partition("\n## Rooms\n")[2].splitlines():
        if line.startswith("### "):
            folder = line.removeprefix("### ").strip("`/").replace("Root", ".")
        elif named := re.match(r"- `(\w+)`: \S", line):
            found.append((folder, named[1]))
    return found


def modules() -> set[tuple[str, str]]:
    found = set()
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT)
        program = not (SKIPPED | {"tests"}) & set(place.parts) and place.name != "__init__.py"
        if program:
            found.add((place.parent.as_posix(), place.stem))
    return found


def test_every_module_has_one_line_in_the_architecture() -> None:
    named = rooms()
    assert len(set(named)) == len(named), "a module is named twice"
    missing = [f"{folder}/{name}.py" for folder, name in sorted(modules() - set(named))]
    assert missing == [], "docs/architecture.md, Rooms: add a line for each"
    gone = [f"{folder}/{name}.py" for folder, name in sorted(set(named) - modules())]
    assert gone == [], "docs/architecture.md, Rooms: names modules that do not exist"


def test_the_table_of_floors_is_the_one_that_is_enforced() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (\w+) \| (.+?) \|", text, re.MULTILINE)
    told = {(int(level), group, tuple(INLINE.findall(names))) for level, group, names in rows}
    table = tomllib.loads((ROOT / "floors.toml").read_text(encoding="utf-8"))["floor"]
    assert told == {(row["level"], row["group"], tuple(row["modules"])) for row in table}


# --- the example strategy ----------------------------------------------------------------------


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The strategy of docs/STRATEGIES.md, dropped where strategies are found; its name."""
    text = (ROOT / "docs" / "STRATEGIES.md").read_text(encoding="utf-8")
    (block,) = [found["body"] for found in FENCE.finditer(text) if found["language"] == "python"]
    named = re.search(r"`strategies/(\w+)\.py`", text)
    assert named
    name = named[1]
    (tmp_path / f"{name}.py").write_text(block, encoding="utf-8")
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    yield name
    sys.modules.pop(f"strategies.{name}", None)


def candles_of(close: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> CandleArrays:
    opens = np.append(close[0], close[:-1])
    return CandleArrays(
        open_ms=np.arange(len(close), dtype=np.int64) * 900_000,
        open=opens,
        high=np.maximum(opens, close) + 0.5,
        low=np.minimum(opens, close) - 0.5,
        close=close,
        volume=np.full(len(close), 1_000.0),
    )


def staircase(last: float) -> CandleArrays:
    """Forty candles between 99 and 101, then one that closes at `last`."""
    return candles_of(np.append(100.0 + np.tile([0.5, -0.5], 20), last))


def test_the_example_strategy_runs_as_written(example: str) -> None:
    manager = StrategyManager.from_config(TradingConfig(STRATEGY=example))
    assert manager.names == (example,)
    (up,) = manager.evaluate("XRP/USDC:USDC", staircase(103.0))
    (down,) = manager.evaluate("XRP/USDC:USDC", staircase(97.0))
    (inside,) = manager.evaluate("XRP/USDC:USDC", staircase(100.0))
    assert isinstance(up, Signal)
    assert up.direction is Direction.LONG
    assert "range 99 to 101" in up.why
    assert isinstance(down, Signal)
    assert down.direction is Direction.SHORT
    assert isinstance(inside, NoSignal)
    assert inside.gate == "range"


def test_the_example_strategy_cannot_see_the_future(example: str) -> None:
    strategy = load_strategy(example, {"length": 5})
    rows = np.arange(120.0)
    candles = candles_of(100.0 + 5.0 * np.sin(rows / 9.0) + np.sin(rows * 2.3))
    whole = strategy.signals(candles)
    assert np.any(whole.direction)
    for end in range(strategy.warmup, 120, 7):
        part = CandleArrays(
            *(getattr(candles, name)[:end] for name in CandleArrays.__dataclass_fields__)
        )
        assert strategy.signals(part).direction[-1] == whole.direction[end - 1]
    with pytest.raises(Exception, match=r"breakout_v1\.length = 1"):
        load_strategy(example, {"length": 1})


def test_the_example_strategy_passes_the_lint(example: str) -> None:
    text = Path(sys.modules["strategies"].__path__[-1], f"{example}.py").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--stdin-filename", f"strategies/{example}.py"],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
