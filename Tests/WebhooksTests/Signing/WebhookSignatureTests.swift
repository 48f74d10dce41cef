import Testing
import Webhooks

@Suite("Signatures")
struct WebhookSignatureTests {
    private let body = Array(#"{"test": 2432232314}"#.utf8)
    private let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    private func secret() throws -> WebhookSecret {
        try WebhookSecret(text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    private func sign(_ secrets: [WebhookSecret], body: [UInt8]? = nil) -> WebhookSignature {
        WebhookSignature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSeconds: 1_614_265_330,
            body: body ?? self.body, secrets: secrets)
    }

    // The vector that the specification's own libraries are tested with, in each language.
    @Test("the specification's vector")
    func vector() throws {
        let signature = sign([try secret()])
        #expect(signature.text == known)
        #expect(
            signature.headerFields.map { "\($0.name): \($0.value)" } == [
                "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp: 1614265330",
                "webhook-signature: \(known)",
            ])
    }

    @Test("two secrets make two signatures, so that a secret can be replaced")
    func rotation() throws {
        let new = WebhookSecret.generate()
        let parts = sign([new, try secret()]).text.split(separator: " ").map(String.init)
        #expect(parts == [sign([new]).text, known] && parts[0] != known)
    }

    @Test("every signed part changes the signature")
    func change() throws {
        let secret = try secret()
        let others = [
            sign([secret], body: body + [10]),
            WebhookSignature(
                id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSeconds: 1_614_265_331, body: body,
                secrets: [secret]),
            WebhookSignature(
                id: "msg_p5jXN8AQM9LWM0D4loKWxJel", timestampSeconds: 1_614_265_330, body: body,
                secrets: [secret]),
            sign([.generate()]),
        ]
        #expect(others.allSatisfy { $0.text != known && $0.text.hasPrefix("v1,") })
    }

    @Test("an identifier can't contain separators of the signed text or of header fields")
    func identifiers() {
        for id in ["a", "msg_2KWP-x", String(repeating: "a", count: 128)] {
            #expect(WebhookSignature.isUsable(id: id))
        }
        for id in ["", "a.b", "a b", "a\r\nb", "\u{e9}", String(repeating: "a", count: 129)] {
            #expect(!WebhookSignature.isUsable(id: id))
        }
    }
}

@Suite("Secrets")
struct WebhookSecretTests {
    private func error(_ text: String) -> WebhookSecretError? {
        do throws(WebhookSecretError) {
            _ = try WebhookSecret(text: text)
            return nil
        } catch {
            return error
        }
    }

    @Test("a generated secret has 32 bytes and equals its parsed text")
    func generation() throws {
        let secrets = (0..<100).map { _ in WebhookSecret.generate().text }
        #expect(Set(secrets).count == 100)
        for text in secrets {
            #expect(text.hasPrefix("whsec_") && text.utf8.count == 6 + 44)
            #expect(try WebhookSecret(text: text).text == text)
        }
    }

    @Test("a secret is the prefix and 24 to 64 bytes in base64")
    func parsing() throws {
        #expect(error("whsec_" + String(repeating: "A", count: 32)) == nil)
        #expect(error("whsec_" + String(repeating: "A", count: 86) + "==") == nil)
        #expect(error("whsec_" + String(repeating: "A", count: 28)) == .wrongLength(21))
        #expect(error("whsec_" + String(repeating: "A", count: 88)) == .wrongLength(66))
        #expect(error("whsec_") == .wrongLength(0))
        #expect(error("whsec_" + String(repeating: "A", count: 33)) == .notBase64)
        #expect(error("whsec_" + String(repeating: "!", count: 32)) == .notBase64)
        #expect(error(String(repeating: "A", count: 32)) == .missingPrefix)
        #expect(
            "\(WebhookSecretError.wrongLength(3))" == "a secret must have 24 to 64 bytes, not 3")
    }

    @Test("a secret doesn't show when it is printed")
    func hidden() {
        let secret = WebhookSecret.generate()
        var dumped = ""
        dump([secret], to: &dumped)
        let key = secret.text.dropFirst(6)
        for text in ["\(secret)", String(reflecting: [secret]), dumped] {
            #expect(!text.contains(key) && text.contains("whsec_(hidden)"))
        }
    }
}
