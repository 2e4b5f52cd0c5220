"""A year of twelve towns: what really happened, what departments say of it, what towns answer, and what comes of it."""
