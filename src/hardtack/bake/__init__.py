"""From the store to what is carried: a self-contained, read-only directory of models with its lock."""
