"""The installer of a whole host or of one member: plan, then act. Standard library only."""
