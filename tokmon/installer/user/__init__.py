"""The program with its versions, and what one user gets of it: hook, configuration, extension, units, receipt."""
