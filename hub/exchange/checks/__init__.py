"""The parts of the check stage; only ``hub.exchange.check`` puts them in order."""
