"""The door for programs: /v1 with API keys, one controller a subject."""
