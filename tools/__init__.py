"""Floor 8: command line tools for operators."""
