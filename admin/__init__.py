"""The door for people: pages for clerks, towns and the bureau, in Chinese first and English by a switch."""
