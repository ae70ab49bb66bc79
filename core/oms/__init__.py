"""Floor 3: what the OrderManager is made of.

`state` holds what is known, `decisions` says what to do next (pure), `keeper` does it per symbol,
`sender` writes the journal and sends, `outcomes` resolves lost answers, `reconciler` compares with
the exchange, `closeout` accounts for a flat position.
"""
