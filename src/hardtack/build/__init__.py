"""From a snapshot to a variant whose loss is measured: quantised, gated, kept beside the store under its own hash."""
