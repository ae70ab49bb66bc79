"""What the command line tools share: arguments, output, exit codes, the way to the exchange."""
