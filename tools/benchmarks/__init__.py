"""Floor 8: what `tools.benchmark` measures, one module per section."""
