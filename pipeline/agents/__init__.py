"""One file an edge, named after it: `<what comes in>_to_<what goes out>.py`."""
