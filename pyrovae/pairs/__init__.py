"""The contract of model and guide, their traces, and the structure of their sites."""
