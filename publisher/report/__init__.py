"""What people and programs read: progress, tables, errors, JSON."""
