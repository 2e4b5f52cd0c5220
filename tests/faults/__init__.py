"""Faults on purpose: many writers at once, processes killed at named places, and checkers that must notice."""
