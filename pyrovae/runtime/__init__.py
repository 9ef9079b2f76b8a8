"""The process and the machine: devices, memory, progress, processes, random numbers, signals, threads."""
