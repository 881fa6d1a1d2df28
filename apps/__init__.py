"""Applications of others, in versions, as examples: they know the system by its REST API and by MQTT alone."""
