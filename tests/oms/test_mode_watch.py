"""What we set ourselves is not a change by hand, however a reading falls between."""

from core.domain.account import SymbolConfig
from core.oms.modes import ModeWatch

XRP = "XRP/USDC:USDC"
CROSS_20 = SymbolConfig(XRP, isolated=False, leverage=20)
ISOLATED_20 = SymbolConfig(XRP, isolated=True, leverage=20)
ISOLATED_5 = SymbolConfig(XRP, isolated=True, leverage=5)


def test_a_change_by_hand_is_told_once_and_forgotten() -> None:
    watch = ModeWatch()
    watch.begin(XRP, 5)
    watch.end(XRP, done=True)
    assert watch.symbols((ISOLATED_5,), watch.settled()) == []
    settled = watch.settled()
    assert watch.symbols((ISOLATED_20,), settled) == [f"{XRP} leverage 5 -> 20, changed by hand"]
    assert XRP not in watch.leverage
    assert watch.symbols((ISOLATED_20,), watch.settled()) == []


def test_a_reading_that_began_before_our_own_change_proves_nothing() -> None:
    watch = ModeWatch()
    before = watch.settled()
    watch.begin(XRP, 5)
    during = watch.settled()
    watch.end(XRP, done=True)
    assert watch.symbols((CROSS_20,), before) == []
    assert watch.symbols((ISOLATED_20,), during) == []
    assert watch.leverage == {XRP: 5}
    assert len(watch.symbols((CROSS_20,), watch.settled())) == 1


def test_a_new_leverage_of_ours_is_not_compared_with_the_old_reading() -> None:
    watch = ModeWatch()
    watch.take_over((ISOLATED_20,))
    before = watch.settled()
    watch.begin(XRP, 5)
    watch.end(XRP, done=True)
    assert watch.symbols((ISOLATED_20,), before) == []


def test_what_could_not_be_set_is_not_known() -> None:
    watch = ModeWatch()
    watch.begin(XRP, 5)
    watch.end(XRP, done=False)
    assert watch.leverage == {}
    assert watch.settled() == {}
