"""How many masters, nodes and decoders a campus needs, from measured unit costs."""
