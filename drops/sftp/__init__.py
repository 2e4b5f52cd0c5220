"""The SFTP door: who comes in, what they see and may do, when an upload is whole, and the evidence of all of it."""
