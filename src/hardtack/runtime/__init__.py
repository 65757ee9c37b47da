"""From a directory to numbers: all that production needs.

Nothing here touches the network, and nothing here knows :mod:`hardtack.supply`.
"""
