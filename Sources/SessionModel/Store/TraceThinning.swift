/// Selects the points that a trace drops when it has more than its maximum.
///
/// Every second point of the older half is dropped, beginning with the second, until the trace
/// fits. The trace therefore stays complete where it is new, becomes sparser with age, and keeps
/// its first point. Points that replay needs are kept. The selection depends on the points alone.
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
