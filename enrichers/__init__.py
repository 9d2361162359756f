"""What we add: pure look-ups over snapshots that are swapped whole."""
