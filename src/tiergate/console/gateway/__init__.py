"""What goes through the gateway, who may call it with what limits, and how it is."""
