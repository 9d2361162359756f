"""The demonstration: a simulated bank, an attack hidden in its day, and the account that must balance."""
