"""Faults of machines, disks and servers on a tiny graph: ``python -m bench.faults --faults 8``.

Each fault is drawn from a seed. After it the same command is given again, which must end with the results of an
undisturbed run to the byte, or say what is damaged in one message whose remedy mends it; nothing sound may be made
again, and no traceback may be seen.
"""
