"""What people decide about submissions: columns confirmed, effects released or refused, undone, nothing to report."""
