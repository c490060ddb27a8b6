"""Ways to hand an event to the application: a signed POST, or a function of the host."""
