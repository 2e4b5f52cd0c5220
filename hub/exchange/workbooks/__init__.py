"""Workbooks the hub writes: templates to fill in, the sender's own file given back with its bad cells marked, lists of errors."""
