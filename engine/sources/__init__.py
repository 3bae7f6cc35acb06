"""Where frames come from: one protocol (`base.Source`), one file per kind, `opening.open_source` picks by name."""
