"""Runs a plan on a Slurm cluster: one job for each training, for each checkpoint's responses, for what judges them.

Slurm schedules; what is here says which jobs there are, what each needs and which must end well before it, submits
them, does the work inside them, and tells what became of them.
"""
