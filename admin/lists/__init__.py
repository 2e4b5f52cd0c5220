"""The panel's lists: each declares its columns and filters; look, address, saved views and export are the same for all."""
