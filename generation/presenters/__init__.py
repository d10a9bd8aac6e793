"""What the press has, as pages show it."""
