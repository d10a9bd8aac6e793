"""What the calls and runs of a project come to, and who is told when something is amiss."""
