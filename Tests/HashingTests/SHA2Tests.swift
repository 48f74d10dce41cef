import Dispatch
import Hashing
import Synchronization
import Testing

/// The examples are those that NIST publishes for FIPS 180-4.
@Suite("SHA-2")
struct SHA2Tests {
    private static let twoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    private static let twoLongBlocks =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"

    @Test(
        "SHA-256 of the published examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (twoBlocks, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        ])
    func sha256(text: String, expected: String) {
        #expect(hexadecimal(SHA256.hash(Array(text.utf8))) == expected)
    }

    @Test(
        "SHA-512 of the published examples",
        arguments: [
            (
                "",
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                    + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
            ),
            (
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                    + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
            (
                twoLongBlocks,
                "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
                    + "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
            ),
        ])
    func sha512(text: String, expected: String) {
        var hash = SHA512()
        hash.update(Array(text.utf8))
        #expect(hexadecimal(hash.finalize()) == expected)
    }

    @Test("A million times the letter a, in pieces of a thousand")
    func million() {
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        var sha256 = SHA256()
        var sha512 = SHA512()
        for _ in 0..<1000 {
            sha256.update(piece)
            sha512.update(piece)
        }
        #expect(
            hexadecimal(sha256.finalize())
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        #expect(
            hexadecimal(sha512.finalize())
                == "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
                + "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b")
    }

    @Test("The pieces' lengths don't matter")
    func pieces() {
        let bytes = (0..<200).map { UInt8($0) }
        let whole = SHA256.hash(bytes)
        for cut in 0...bytes.count {
            var hash = SHA256()
            hash.update(Array(bytes[..<cut]))
            hash.update(Array(bytes[cut...]))
            #expect(hash.finalize() == whole, "cut at \(cut)")
        }
        var hash = SHA256()
        for byte in bytes { hash.update([byte]) }
        #expect(hash.finalize() == whole)
    }

    @Test("A copy continues on its own")
    func copies() {
        var first = SHA256()
        first.update(Array("a".utf8))
        var second = first
        second.update(Array("x".utf8))
        first.update(Array("bc".utf8))
        let third = first
        #expect(first.finalize() == SHA256.hash(Array("abc".utf8)))
        #expect(second.finalize() == SHA256.hash(Array("ax".utf8)))
        #expect(third.finalize() == SHA256.hash(Array("abc".utf8)))
    }

    @Test("Threads hash at the same time")
    func threads() {
        let inputs = (0..<64).map { [UInt8](repeating: UInt8($0), count: 5000 + $0) }
        let expected = inputs.map { SHA256.hash($0) }
        let wrong = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 64 * 20) { index in
            let index = index % inputs.count
            if SHA256.hash(inputs[index]) != expected[index] { wrong.withLock { $0 += 1 } }
        }
        #expect(wrong.withLock { $0 } == 0)
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
