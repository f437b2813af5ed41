"""What is read: the chapter's sections, their questions, and the reader's progress."""
