"""What runs, improvements and growths have in common: orders, pieces, and the workers who pull them."""
