"""Readers: one format or one published data set a file. Only the catalogue imports them."""
