"""What we find: rules, indicators, findings. Deterministic; no I/O, no clock, no environment."""
