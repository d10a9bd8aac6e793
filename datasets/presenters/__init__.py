"""Rows and plain data as pages show them."""
