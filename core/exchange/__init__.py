"""Floor 2a: what `OptimizedExchangeClient` and the streams are made of. Speaks to the exchange."""
