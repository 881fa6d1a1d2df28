"""One client: admission, publishing in, acknowledgements, subscribing, outboxes."""
