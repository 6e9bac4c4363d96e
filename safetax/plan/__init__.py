"""Pure: configurations to one graph of steps; what it needs, takes, and lacks here."""
