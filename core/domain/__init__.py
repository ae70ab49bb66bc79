"""Floor 0: pure values and arithmetic. No asyncio, no I/O, no logging, no reading of time."""
