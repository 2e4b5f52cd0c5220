"""Slices with a licence: the data catalogue, requests and answers, exports, certificates, what went to whom."""
