"""The kernel says no: guarding what runs here against reaching the network, and proving that it need not."""
