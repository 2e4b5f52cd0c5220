"""Reads across rooms for the desks: what a month owes, what waits for somebody, what one may find, what one keeps."""
