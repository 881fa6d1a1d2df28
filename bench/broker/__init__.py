"""The broker node beside Aedes, Mosca and Mosquitto: `python -m bench.broker`."""
