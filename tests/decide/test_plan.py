"""Every entry has a stop and targets the exchange will accept."""

from dataclasses import replace
from decimal import Decimal

import pytest
from decide_builders import btc, instrument
from hypothesis import given
from hypothesis import strategies as st

from core.config import TradingConfig
from core.domain.enums import TakeProfitMode
from core.domain.intent import ProtectionPlan, TakeProfitRatio
from core.domain.money import floor_to_step
from core.oms.plan import PlanSettings, adaptive_scale, build_plan

D = Decimal
SETTINGS = PlanSettings.from_config(TradingConfig())
XRP = instrument()


def pairs(plan: ProtectionPlan) -> list[tuple[str, str]]:
    return [(str(leg.ratio.normalize()), str(leg.share.normalize())) for leg in plan.legs]


def plan_of(
    settings: PlanSettings = SETTINGS, quantity: str = "750", **more: object
) -> ProtectionPlan:
    return build_plan(settings, XRP, price=D("0.5"), quantity=D(quantity), **more)  # type: ignore[arg-type]  # named below


def test_the_configured_ladder_and_stop() -> None:
    plan = plan_of()
    assert plan.stop_ratio == D("0.008")
    assert pairs(plan) == [("0.006", "0.5"), ("0.012", "0.3"), ("0.018", "0.2")]


@pytest.mark.parametrize(
    ("quantity", "levels"),
    [("50", 3), ("49.5", 3), ("49.4", 1), ("12", 1)],
)
def test_a_leg_under_the_minimum_makes_it_one_target(quantity: str, levels: int) -> None:
    # the last leg takes what the floored ones leave: of 49.5 that is 10, of 49.4 it is 9.9
    plan = plan_of(quantity=quantity)
    assert len(plan.legs) == levels
    if levels == 1:
        assert pairs(plan) == [("0.012", "1")]


def test_a_coarse_step_makes_it_one_target() -> None:
    plan = build_plan(SETTINGS, btc(), price=D(60_000), quantity=D("0.003"))
    assert pairs(plan) == [("0.012", "1")]


def test_levels_closer_than_a_tick_make_it_one_target() -> None:
    coarse = instrument(tick="0.01")
    plan = build_plan(SETTINGS, coarse, price=D("0.5"), quantity=D(750))
    assert pairs(plan) == [("0.012", "1")]


def test_targets_in_atr() -> None:
    settings = replace(SETTINGS, mode=TakeProfitMode.ATR)
    plan = plan_of(settings, atr_ratio=D("0.004"))
    assert pairs(plan) == [("0.004", "0.5"), ("0.006", "0.3"), ("0.008", "0.2")]
    assert pairs(plan_of(settings)) == pairs(plan_of()), "unknown ATR: as configured"


@pytest.mark.parametrize(
    ("trades", "wins", "scale"),
    [(99, 99, "1"), (100, 66, "1.2"), (100, 65, "1"), (100, 50, "1"), (100, 49, "0.8")],
)
def test_targets_follow_the_win_rate_after_a_hundred_trades(
    trades: int, wins: int, scale: str
) -> None:
    assert adaptive_scale(trades, wins) == D(scale)
    settings = replace(SETTINGS, mode=TakeProfitMode.ADAPTIVE)
    plan = plan_of(settings, trades=trades, wins=wins)
    assert plan.legs[0].ratio == D("0.006") * D(scale)
    assert plan_of(trades=trades, wins=wins) == plan_of(), "only the adaptive mode scales"


@given(
    shares=st.lists(st.integers(1, 50), min_size=1, max_size=6),
    quantity=st.decimals(D("0.1"), D(20_000), places=1),
    price=st.decimals(D("0.01"), D(50), places=4),
)
def test_shares_sum_to_one_and_every_leg_is_tradable(
    shares: list[int], quantity: Decimal, price: Decimal
) -> None:
    whole = sum(shares)
    exact = [D(share) / whole for share in shares[:-1]]
    levels = tuple(
        TakeProfitRatio(D("0.01") * (i + 1), share)
        for i, share in enumerate([*exact, 1 - sum(exact, D(0))])
    )
    plan = build_plan(replace(SETTINGS, levels=levels), XRP, price=price, quantity=quantity)
    assert sum(leg.share for leg in plan.legs) == 1
    ratios = [leg.ratio for leg in plan.legs]
    assert ratios == sorted(set(ratios))
    if len(plan.legs) > 1:
        sizes = [floor_to_step(quantity * leg.share, XRP.step) for leg in plan.legs[:-1]]
        sizes.append(quantity - sum(sizes))
        assert all(size * price >= XRP.min_notional for size in sizes)
        assert all(size >= XRP.min_qty for size in sizes)
