"""Floor 2c: the paper exchange, a server that speaks Binance USDⓈ-M over loopback.

It shares no code with the exchange client on purpose: two independent readings of one protocol.
"""
