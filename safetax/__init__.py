"""safetax measures what safety alignment costs a reasoning model."""
