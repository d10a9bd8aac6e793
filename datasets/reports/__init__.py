"""What a report says of many conversations: pure arithmetic, fed one conversation at a time."""
