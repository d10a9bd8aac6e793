"""What is made of conversations: files of rows, and reports."""
