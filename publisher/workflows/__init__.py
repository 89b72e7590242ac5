"""The verbs: each joins the rooms below it, and reads like its steps."""
