"""The nouns: frozen values and their bytes. Imports nothing of ours."""
