"""The fictitious district 999001: who lives there, what its departments send, and what must come of it."""
