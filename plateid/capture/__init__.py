"""Where pictures come from: files, clips, cameras; and the mailboxes in which frames wait."""
