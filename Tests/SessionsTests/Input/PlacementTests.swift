import Sessions
import Testing

struct PlacementTests {
    @Test func `adjacent parts are one, and empty ones are none`() {
        let placement = Placement([4..<8, 8..<8, 8..<12, 0..<4], of: 12)
        #expect(placement.parts == [4..<12, 0..<4])
        #expect(placement.order == [1, 0])
        #expect(placement.gaps == [])
        #expect(placement.bodyBytes == 12 && placement.byteCount == 12)
    }

    @Test func `what no part fills is a gap`() {
        let placement = Placement([8..<10, 2..<4], of: 12)
        #expect(placement.gaps == [0..<2, 4..<8, 10..<12])
        #expect(placement.bodyBytes == 4)
        #expect(Placement([], of: 3).gaps == [0..<3])
        #expect(Placement(whole: 0).gaps == [])
    }

    @Test func `a vector is complete as far as its parts have arrived without a gap`() {
        // The body has the vector's end first, then its beginning, then the middle.
        var progress = PlacementProgress(Placement([6..<9, 0..<2, 2..<6], of: 9))
        var seen: [Int] = []
        while let place = progress.place(1) {
            #expect(place.count == 1)
            progress.advance(1)
            seen.append(progress.filled)
        }
        #expect(seen == [0, 0, 0, 1, 2, 3, 4, 5, 9])
        #expect(progress.isWhole && progress.taken == 9)
    }

    @Test(arguments: 0...9)
    func `a body is placed however it is cut`(cut: Int) {
        let placement = Placement([5..<8, 0..<2, 9..<10, 2..<5], of: 11)
        let body: [UInt8] = [5, 6, 7, 0, 1, 9, 2, 3, 4]
        var vector = [UInt8](repeating: 0xFF, count: 11)
        var progress = PlacementProgress(placement)
        // Sound: the vector has as many bytes as the placement.
        unsafe vector.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            for piece in [body[..<cut], body[cut...]] {
                unsafe piece.withUnsafeBytes { unsafe progress.copy($0, to: start) }
            }
            unsafe placement.clearGaps(of: start)
        }
        #expect(progress.isWhole)
        #expect(vector == [0, 1, 2, 3, 4, 5, 6, 7, 0, 9, 0])
    }

    @Test func `bytes beyond the body's end are ignored`() {
        var vector: [UInt8] = [0, 0]
        var progress = PlacementProgress(Placement(whole: 2))
        // Sound: the vector has as many bytes as the placement.
        unsafe vector.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            let piece: [UInt8] = [1, 2, 3]
            unsafe piece.withUnsafeBytes { unsafe progress.copy($0, to: start) }
        }
        #expect(vector == [1, 2] && progress.isWhole)
    }
}
