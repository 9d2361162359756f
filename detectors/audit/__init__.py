"""What several records of the Linux audit system tell together: a program's start, a file written, a connection."""
