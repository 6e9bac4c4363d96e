"""What a user may set: schema, composition by Hydra, checks, and what of it is identity."""
