"""The gateway to an MQTT 5 broker: a push is a message on the device's own topic."""
