import TestKit

// Prints the engine's golden bits: built in debug and in release, the output must be the same.
for line in trajectoryBits() { print(line) }
