"""From the Hub to this disk: the only room that ever touches the network."""
