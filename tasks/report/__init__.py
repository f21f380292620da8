"""What a run did, as people see it: an HTML report of the whole, and PNG pictures in the logs/ of a result."""
