"""What is known about pi on this machine: its version, its accounts, its extension, and checks with a real session."""
