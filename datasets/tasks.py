"""Work that the archive leaves to workers: ids in, None out. Each is safe to run twice and to be killed."""
