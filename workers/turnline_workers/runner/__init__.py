"""The only place where inbox, mailbox, play and log meet."""
