/// Which points a trace gives up when it has more than its maximum.
///
/// Of its older half every second point goes, beginning with the second, again and again until the
/// trace fits: it stays whole where it is new, gets sparser the older it is, and keeps its first
/// point. What has to stay for replay is passed over. Which points are left follows from those
/// that there were, and from nothing else.
public enum TraceThinning {
    /// - Parameter older: The older half of the points, in order.
    public static func surplus(
        of older: [SequenceNumber], isNeeded: (SequenceNumber) -> Bool
    ) -> [SequenceNumber] {
        older.enumerated().compactMap { index, point in
            index.isMultiple(of: 2) || isNeeded(point) ? nil : point
        }
    }
}

/// About what a store's rows take on the disk beside payloads and vectors, with their indexes. By
/// what lbfgsd.sqlite grew by with 10,000 evaluations told (162 each), 4,000 steps (122) and 900
/// checkpoints (73); a session has a row, labels, a snapshot's row and its list of vectors.
public enum RowBytes {
    public static let session = 1024
    public static let entry = 160
    public static let step = 120
    public static let checkpoint = 75
}
