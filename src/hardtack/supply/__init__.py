"""From the Hub to this disk: the only room that ever touches the network.

:mod:`~hardtack.supply.resolve` makes a lock's entry of a wish, :mod:`~hardtack.supply.pull` brings what a lock names
into the store, :mod:`~hardtack.supply.adopt` takes it from a directory instead.
"""
