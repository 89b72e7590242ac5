"""What a release would do, decided before anything is done: versions, rules, lines of floating tags, plans. No I/O."""
