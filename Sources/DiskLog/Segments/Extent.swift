/// A range of bytes in a segment.
package struct Extent: Hashable, Sendable {
    package var segment: Int64
    package var range: Range<Int>

    package init(segment: Int64, range: Range<Int>) {
        self.segment = segment
        self.range = range
    }
}
