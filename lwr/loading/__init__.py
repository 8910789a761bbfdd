"""From a name to a network: where models lie, adapters, the Hub, memory."""
