"""The typed configuration: one frozen dataclass for each node, built and checked in one place."""
