"""One step on disk and the process that works on it: identity, folder, manifest, lock, lease, claim."""
