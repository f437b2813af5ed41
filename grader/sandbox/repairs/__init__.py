"""Small changes of a file that might repair it: what a slip of the hand left out, doubled, turned round or exchanged."""
