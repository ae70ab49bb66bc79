"""Account switches the daemon depends on, watched while it runs (floor 3; INV-05).

A tap on the phone changes them. What would make new orders wrong stops entries and is told; it is
never set back silently, because whoever changed it had a reason.
"""

from collections.abc import Mapping

from core.domain.account import AccountConfig, SymbolConfig


class ModeWatch:
    """Remembers what was set and compares it with what the exchange says."""

    def __init__(self) -> None:
        self.leverage: dict[str, int] = {}
        """Leverage in force per isolated symbol, as far as we know it."""
        self._moving: dict[str, None] = {}
        self.problem = ""
        """Why no entry may be sent; empty while the account is as it must be."""

    def account(self, config: AccountConfig) -> str:
        """Judge the account; returns the problem, empty when there is none."""
        wrong = []
        if not config.can_trade:
            wrong.append("the account may not trade")
        if config.hedge_mode:
            wrong.append("position mode is hedge, one-way is needed")
        if config.multi_assets:
            wrong.append("multi-assets mode is on, single-asset is needed")
        self.problem = "; ".join(wrong)
        return self.problem

    def begin(self, symbol: str, leverage: int) -> None:
        """We are about to set it. Known from now on, because its event may overtake its answer."""
        self.leverage[symbol] = leverage
        self._moving[symbol] = None

    def end(self, symbol: str, *, done: bool) -> None:
        """The exchange has answered, or has not."""
        self._moving.pop(symbol, None)
        if not done:
            self.leverage.pop(symbol, None)

    def settled(self) -> dict[str, int]:
        """What a reading that begins now can be compared with."""
        return {name: known for name, known in self.leverage.items() if name not in self._moving}

    def symbols(self, configs: tuple[SymbolConfig, ...], settled: Mapping[str, int]) -> list[str]:
        """One line per symbol whose margin type or leverage is not what we set; then forgotten,
        so that it is set again before the next entry. `settled` is from before the reading: what
        we changed meanwhile is not a change by hand."""
        changed = []
        for config in configs:
            known = self.leverage.get(config.symbol)
            if known is None or settled.get(config.symbol) != known:
                continue
            if not config.isolated:
                changed.append(f"{config.symbol} margin isolated -> cross, changed by hand")
            elif config.leverage != known:
                changed.append(
                    f"{config.symbol} leverage {known} -> {config.leverage}, changed by hand"
                )
            else:
                continue
            del self.leverage[config.symbol]
        return changed

    def take_over(self, configs: tuple[SymbolConfig, ...]) -> None:
        """Believe what the exchange has set already, so that it is not set again."""
        for config in configs:
            if config.isolated:
                self.leverage.setdefault(config.symbol, config.leverage)
