/// The release that this binary is of; CHANGELOG.md's newest heading says the same.
enum Version {
    static let current = "0.1.0"
}
