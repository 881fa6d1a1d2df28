"""How many brokers and decoders there should be, from the load on them."""
