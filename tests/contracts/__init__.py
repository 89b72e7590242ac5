"""What every registry has to do: one suite, run against the sandbox and a real registry."""
