"""What runs the numbers: one engine a file, each behind :class:`~hardtack.runtime.engines.interface.Engine`."""
