"""Records, sample spans, errors, canonical hashing, per-record random streams, plugin lookup. No torch, no I/O."""
