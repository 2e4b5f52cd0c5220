"""How one column of cells is read: each module turns the text people write into one canonical form."""
