import Sessions
import Testing

@Suite("Page tokens")
struct PageTokenTests {
    @Test("A sealed position comes back with the key, and with no other")
    func sealing() {
        let key: [UInt8] = [1, 2, 3]
        var seen: Set<Int64> = []
        let positions: [Int64] = [0, 1, 2, 3, 77, 1_000, 1 << 31, 1 << 32, 1 << 40, (1 << 48) - 1]
        for position in positions {
            let sealed = PageTokenCipher.seal(position, key)
            #expect(sealed != position && seen.insert(sealed).inserted)
            #expect(PageTokenCipher.open(sealed, key) == position)
            #expect(PageTokenCipher.open(sealed, [1, 2, 4]) != position)
        }
        #expect(PageTokenCipher.open(1, key) == nil)
    }
}
