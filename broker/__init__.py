"""The MQTT broker node: amqtt, extended so that a position is acknowledged only once Redis holds it."""
