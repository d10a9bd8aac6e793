"""The switchboard: settings, addresses, and the processes. It knows no business words."""
