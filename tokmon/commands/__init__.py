"""The verbs, one a module, imported when called: `run(arguments) -> exit code`."""
