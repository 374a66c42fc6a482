"""One audit: what was scored, the gates held over it, the verdict, and the record of it all."""
