"""Benchmarks: each prints its figures again. `qorgan bench NAME`; a module each, `run(...) -> dict`."""
