"""The OMS's parts, made and connected once (floor 3)."""

from dataclasses import dataclass

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
from core.oms.reconciler import Reconciler
from core.oms.rules import OmsRules
from core.oms.sender import ExpectEcho, Sender
from core.oms.state import Tracker
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
class OmsParts:
    """What works inside, sharing one tracker and one account book."""

    tracker: Tracker
    account: AccountBook
    modes: ModeWatch
    evidence: Evidence
    contracts: ContractWatch
    throttle: Throttle
    sender: Sender
    keeper: Keeper
    reconciler: Reconciler


def build_parts(rules: OmsRules, ports: OmsPorts, ask_reconcile: AskReconcile) -> OmsParts:
    """Make and connect everything; nothing runs yet."""
    tracker, account, modes = Tracker(), AccountBook(), ModeWatch()
    evidence = Evidence(tracker, ports.journal, ports.facts, ports.clock)
    outcomes = OutcomeResolver(ports.exchange, evidence, ports.clock)
    contracts = ContractWatch(
        tracker=tracker,
        source=ports.instruments,
        modes=modes,
        facts=ports.facts,
        clock=ports.clock,
    )
    throttle = Throttle(
        rules.throttle,
        prices=ports.prices,
        instruments=ports.instruments,
        risk=ports.risk,
        now_ms=ports.exchange.exchange_now_ms,
        bars=(contracts.bar,),
    )
    sender = Sender(
        instance=rules.instance,
        tracker=tracker,
        exchange=ports.exchange,
        journal=ports.journal,
        audit=ports.audit,
        facts=ports.facts,
        evidence=evidence,
        throttle=throttle,
        on_answer=contracts.note_answer,
        clock=ports.clock,
        expect_echo=ports.expect_echo,
    )
    closeout = CloseOut(
        exchange=ports.exchange,
        journal=ports.journal,
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
        contracts=contracts,
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
    return OmsParts(
        tracker, account, modes, evidence, contracts, throttle, sender, keeper, reconciler
    )
