"""The same VAE in other libraries, each as it is usually written there."""
