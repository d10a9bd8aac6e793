"""What the archive does when more than one table is meant."""
