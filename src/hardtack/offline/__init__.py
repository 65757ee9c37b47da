"""The kernel says no: a guard that keeps processes off every network, and the proof that models run behind it."""
