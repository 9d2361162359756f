"""Where it ends: idempotent writers."""
