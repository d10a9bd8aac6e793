"""Runs: launched, pulled, landed, told of."""
