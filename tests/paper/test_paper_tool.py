"""The stand-alone command: one line of JSON when ready, clear ends."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tools.paper_exchange import main

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0


async def started(*options: str) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tools.paper_exchange",
        *options,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), START_S)
    return process, json.loads(line)


@pytest.mark.parametrize("speed", ["1", "50"])
async def test_serves_until_a_signal(speed: str) -> None:
    process, ready = await started("--symbols", "BTCUSDC", "--speed", speed)
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(ready["rest"] + "/fapi/v1/ticker/price?symbol=BTCUSDC") as price,
        ):
            assert price.status == 200
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(ready["ws"] + "/public/ws/btcusdc@bookTicker") as ws,
        ):
            await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            answer = await ws.receive_json(timeout=START_S)
            while "id" not in answer:  # the market moves by itself
                answer = await ws.receive_json(timeout=START_S)
            assert answer["result"] == ["btcusdc@bookTicker"]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode == 0
    assert b"SYNTHETIC PRICES" in errors
    assert b"Traceback" not in errors


async def test_a_replay_ends_by_itself(tmp_path: Path) -> None:
    minute = 1_750_000_020_000
    rows = [
        f"{minute + n * 60_000},1.5,1.6,1.4,1.5,10,{minute + n * 60_000 + 59_999},15,3,0,0,0"
        for n in range(4_700)
    ]
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore"
    (tmp_path / "XRPUSDT-1m-2025.csv").write_text("\n".join([header, *rows]) + "\n")
    process, ready = await started("--feed", "replay", "--replay", str(tmp_path), "--speed", "9000")
    _, errors = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode == 0, errors
    assert ready["rest"].startswith("http://127.0.0.1:")


async def test_both_coins_with_a_wallet_in_each() -> None:
    process, ready = await started("--quote", "usdc,USDT", "--symbols", "BTCUSDC,BTCUSDT")
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(ready["rest"] + "/fapi/v1/exchangeInfo") as info,
        ):
            body = await info.json()
    finally:
        await stopped(process)
    assert [row["symbol"] for row in body["symbols"]] == ["BTCUSDC", "BTCUSDT"]
    assert [row["asset"] for row in body["assets"]] == ["USDC", "USDT"]


async def stopped(process: asyncio.subprocess.Process) -> str:
    """Stop a process in order; what it said."""
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    return errors.decode()


async def test_one_mirrors_the_other() -> None:
    source, there = await started("--symbols", "BTCUSDC,XRPUSDC", "--seed", "11")
    live = ["--feed", "live", "--live-rest", there["rest"], "--live-ws", there["ws"]]
    mirror, here = await started(*live, "--symbols", "XRPUSDC")
    query = "/fapi/v1/klines?symbol=XRPUSDC&interval=1m&limit=20"
    try:
        async with aiohttp.ClientSession() as http:
            rows = {}
            for name, ready in (("there", there), ("here", here)):
                async with http.get(ready["rest"] + query) as answer:
                    rows[name] = {row[0]: row[1:9] for row in (await answer.json())[:-1]}
            async with http.ws_connect(here["ws"] + "/public/ws/xrpusdc@bookTicker") as ws:
                top = await ws.receive_json(timeout=START_S)
    finally:
        said = await stopped(mirror)
        await stopped(source)
    both = set(rows["here"]) & set(rows["there"])
    assert len(both) >= 18
    assert all(rows["here"][at] == rows["there"][at] for at in both)
    assert top["s"] == "XRPUSDC"
    assert f"from {there['rest']}" in said


def test_live_prices_out_of_reach_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = ["--live-rest", "http://127.0.0.1:1", "--live-ws", "ws://127.0.0.1:1"]
    assert main(["--feed", "live", *nowhere]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "live prices cannot be read: http://127.0.0.1:1" in captured.err


def test_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--symbols", "BTCUSDC"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"127.0.0.1:{port}" in captured.err


def test_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--symbols", "FOO"]) == 2
    assert main(["--feed", "replay", "--replay", str(tmp_path)]) == 2
    for arguments in (
        ["--feed", "replay"],
        ["--replay", str(tmp_path)],
        ["--feed", "live", "--speed", "2"],
        ["--speed", "0"],
        ["--balance", "x"],
        ["--quote", "USDC,EUR"],
        ["--port", "70000"],
        ["--latency-ms", "-1"],
        ["--faults", "--host", "192.0.2.1"],
    ):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
