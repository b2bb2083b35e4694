"""What is asked of an API, when and how often, and what is done with its refusals."""
