"""Floor 2d: the world the daemon lives in when time, network and faults are simulated."""
