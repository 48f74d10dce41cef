/// Estimated bytes of a store's rows on disk, with their indexes but without payloads and vectors.
/// Measured as the growth of lbfgsd.sqlite: 162 bytes for each of 10,000 evaluations, 122 for each
/// of 4,000 steps, 73 for each of 900 checkpoints. A session has a row, labels, a snapshot's row
/// and its list of vectors.
public enum RowBytes {
    public static let session = 1024
    public static let entry = 160
    public static let step = 120
    public static let checkpoint = 75
}
