"""Wires to other machines on a timetable: fetching from and delivering to departments' servers and interfaces."""
