"""Config files of the AfterImage library."""
