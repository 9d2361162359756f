"""Who is who, from outside: the bank's exports read, checked, built into versions, and the versions read by workers."""
