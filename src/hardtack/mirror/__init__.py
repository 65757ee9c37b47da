"""A read-only Hub, fed from folders."""
