"""The lab: a fictional world small enough to train a reasoning model in from nothing, on any CPU."""
