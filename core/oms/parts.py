"""The OMS's parts, made and connected once (floor 3)."""

from dataclasses import dataclass

from core.domain.order import OrderRecord
from core.domain.ports import (
    AuditPort,
    Clock,
    ContractSource,
    ExchangePort,
    FactPublisher,
    JournalPort,
    PriceView,
    RiskPort,
)
from core.kernel.supervisor import Supervisor
from core.oms.account import AccountBook
from core.oms.closeout import CloseOut
from core.oms.contract_watch import ContractWatch
from core.oms.evidence import Evidence
from core.oms.inbox import AskReconcile
from core.oms.keeper import Keeper
from core.oms.modes import ModeWatch
from core.oms.outcomes import OutcomeResolver
from core.oms.quantitative_rules import OrderRatios, RuleWatch
from core.oms.reconciler import Reconciler
from core.oms.rules import OmsRules
from core.oms.sender import ExpectEcho, Sender
from core.oms.state import SymbolState, Tracker
from core.oms.throttle import Throttle


@dataclass(frozen=True, slots=True)
class OmsPorts:
    """What the OMS stands on. `expect_echo` is told of each accepted order."""

    exchange: ExchangePort
    journal: JournalPort
    audit: AuditPort
    risk: RiskPort
    facts: FactPublisher
    instruments: ContractSource
    prices: PriceView
    clock: Clock
    supervisor: Supervisor
    expect_echo: ExpectEcho


@dataclass(frozen=True, slots=True)
class Guards:
    """What may keep an order back at the wire."""

    contracts: ContractWatch
    ratios: OrderRatios
    ratio_watch: RuleWatch
    throttle: Throttle

    def note_answer(self, state: SymbolState, record: OrderRecord, code: int) -> None:
        """The exchange answered an order (code 0: accepted)."""
        self.contracts.note_answer(state, record, code)
        self.ratio_watch.note_answer(state.symbol, code)


@dataclass(frozen=True, slots=True)
class OmsParts:
    """What works inside, sharing one tracker and one account book."""

    tracker: Tracker
    account: AccountBook
    modes: ModeWatch
    evidence: Evidence
    guards: Guards
    sender: Sender
    keeper: Keeper
    reconciler: Reconciler


def build_parts(rules: OmsRules, ports: OmsPorts, ask_reconcile: AskReconcile) -> OmsParts:
    """Make and connect everything; nothing runs yet."""
    tracker, account, modes = Tracker(), AccountBook(), ModeWatch()
    evidence = Evidence(tracker, ports.journal, ports.facts, ports.clock)
    outcomes = OutcomeResolver(ports.exchange, evidence, ports.clock)
    guards = _guards(rules, ports, tracker, modes)
    sender = _sender(rules, ports, tracker, evidence, guards)
    closeout = CloseOut(
        exchange=ports.exchange,
        journal=ports.journal,
        audit=ports.audit,
        risk=ports.risk,
        facts=ports.facts,
        clock=ports.clock,
    )
    keeper = Keeper(
        rules=rules,
        tracker=tracker,
        sender=sender,
        outcomes=outcomes,
        evidence=evidence,
        closeout=closeout,
        contracts=guards.contracts,
        ask_reconcile=ask_reconcile,
        exchange=ports.exchange,
        prices=ports.prices,
        facts=ports.facts,
        clock=ports.clock,
        supervisor=ports.supervisor,
    )
    reconciler = Reconciler(
        rules=rules,
        tracker=tracker,
        exchange=ports.exchange,
        evidence=evidence,
        outcomes=outcomes,
        account=account,
        modes=modes,
        audit=ports.audit,
        facts=ports.facts,
        instruments=ports.instruments,
        clock=ports.clock,
    )
    return OmsParts(tracker, account, modes, evidence, guards, sender, keeper, reconciler)


def _guards(rules: OmsRules, ports: OmsPorts, tracker: Tracker, modes: ModeWatch) -> Guards:
    contracts = ContractWatch(
        tracker=tracker,
        source=ports.instruments,
        modes=modes,
        facts=ports.facts,
        clock=ports.clock,
    )
    ratios = OrderRatios()
    ratio_watch = RuleWatch(
        ratios=ratios, exchange=ports.exchange, facts=ports.facts, clock=ports.clock
    )
    throttle = Throttle(
        rules.throttle,
        prices=ports.prices,
        instruments=ports.instruments,
        risk=ports.risk,
        now_ms=ports.exchange.exchange_now_ms,
        bars=(contracts.bar, ratio_watch.bar),
    )
    return Guards(contracts, ratios, ratio_watch, throttle)


def _sender(
    rules: OmsRules, ports: OmsPorts, tracker: Tracker, evidence: Evidence, guards: Guards
) -> Sender:
    return Sender(
        rules=rules,
        tracker=tracker,
        exchange=ports.exchange,
        journal=ports.journal,
        audit=ports.audit,
        facts=ports.facts,
        evidence=evidence,
        throttle=guards.throttle,
        on_answer=guards.note_answer,
        ratios=guards.ratios,
        clock=ports.clock,
        expect_echo=ports.expect_echo,
    )
