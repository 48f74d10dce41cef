import TestKit

// Prints the fingerprints of the engine's trajectories. Debug and release builds must print the
// same lines, those of golden.txt.
for line in trajectoryBits() { print(line) }
