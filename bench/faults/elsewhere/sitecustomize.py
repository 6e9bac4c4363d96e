"""Changes what a process is told of its clock, its host and its leases; Python imports it before anything else."""

import os
import random
import socket
import time

if "FAULTS_CLOCK" in os.environ:
    drawn = random.Random(os.environ["FAULTS_CLOCK"])
    begun, real = time.time(), time.time
    time.time = lambda: 2 * begun - real() + drawn.choice([0, 0, 0, -86400, 3600])
if "FAULTS_HOST" in os.environ:
    socket.gethostname = lambda: os.environ["FAULTS_HOST"]
    import fcntl

    fcntl.flock = lambda descriptor, operation: None
if "FAULTS_LEASE" in os.environ:
    from safetax.store import lease

    lease.LEASE_TIMEOUT = float(os.environ["FAULTS_LEASE"])
    lease.HEARTBEAT = lease.LEASE_TIMEOUT / 6
