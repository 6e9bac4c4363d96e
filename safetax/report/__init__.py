"""The report: everything a person looks at, made from what runs left on disk."""
