"""What the press does when more than one table is meant."""
