"""Work that the press leaves to workers: ids in, None out. Each is safe to run twice and to be killed."""
