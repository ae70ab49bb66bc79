"""A daemon whose venue cannot be reached gives up after 30 s of real time: it is started before the
first test of this folder, so that nobody has to wait for it."""

from collections.abc import Iterator

import pytest
from e2e_kit import Patient, start_patient


@pytest.fixture(scope="session", autouse=True)
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    patient = start_patient(
        tmp_path_factory.mktemp("unreachable"),
        "--once",
        TESTNET="true",
        BINANCE_API_KEY="CANARYKEY",
        BINANCE_API_SECRET="CANARYSECRET",
        BINANCE_REST_URL="http://127.0.0.1:1",
        BINANCE_WS_URL="ws://127.0.0.1:1",
    )
    yield patient
    patient.running.kill()
