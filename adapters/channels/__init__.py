"""Other machines as they are spoken to: SFTP servers and HTTP interfaces; whom and when is hub.channels' to say."""
