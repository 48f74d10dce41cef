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
