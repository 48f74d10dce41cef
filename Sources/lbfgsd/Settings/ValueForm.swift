internal import API
internal import Telemetry
internal import Webhooks

/// How one kind of value is written: read from text, shown as text, and described in words.
struct ValueForm<Value>: Sendable {
    /// Stands for the value in the help: `--listen <host:port>`.
    var placeholder: String
    /// Completes "must be ...".
    var requirement: String
    /// Whether a quoted scalar in the configuration file can be meant: not for numbers.
    var isText = false
    /// Shown in the example configuration when there is no default.
    var example = ""
    /// nil when the text doesn't meet the requirement.
    var read: @Sendable (String) -> Value?
    var show: @Sendable (Value) -> String
}

extension ValueForm<Int> {
    static func count(_ range: ClosedRange<Int>) -> ValueForm {
        ValueForm(
            placeholder: "n",
            requirement: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            read: { text in wholeNumber(text).flatMap { range.contains($0) ? $0 : nil } },
            show: { String($0) })
    }

    /// Bytes, bare or with KiB, MiB or GiB.
    static func bytes(_ range: ClosedRange<Int>) -> ValueForm {
        ValueForm(
            placeholder: "bytes",
            requirement: "a number of bytes from \(byteText(range.lowerBound)) to "
                + "\(byteText(range.upperBound)), such as 1048576 or 1MiB",
            read: { text in byteCount(text).flatMap { range.contains($0) ? $0 : nil } },
            show: byteText)
    }

    static func seconds(_ range: ClosedRange<Int>) -> ValueForm {
        ValueForm(
            placeholder: "seconds",
            requirement: "a whole number of seconds from \(range.lowerBound) to "
                + "\(range.upperBound)",
            read: { text in wholeNumber(text).flatMap { range.contains($0) ? $0 : nil } },
            show: { String($0) })
    }

    private static let byteUnits = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

    /// Digits only: no sign, no space, none of the forms that YAML would read as a number too.
    private static func wholeNumber(_ text: some StringProtocol) -> Int? {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return text.utf8.allSatisfy(digits.contains) ? Int(text) : nil
    }

    private static func byteCount(_ text: String) -> Int? {
        for (unit, size) in byteUnits where text.hasSuffix(unit) {
            guard let number = wholeNumber(text.dropLast(unit.count)) else { return nil }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: size)
            return overflow ? nil : bytes
        }
        return wholeNumber(text)
    }

    private static func byteText(_ bytes: Int) -> String {
        for (unit, size) in byteUnits where bytes >= size && bytes.isMultiple(of: size) {
            return "\(bytes / size)\(unit)"
        }
        return String(bytes)
    }
}

extension ValueForm<ListenAddress> {
    static let address = ValueForm(
        placeholder: "host:port",
        requirement:
            "an address and a port, such as 127.0.0.1:8080 or [::1]:8080, or unix: and a path",
        isText: true, read: { ListenAddress($0) }, show: \.text)
}

extension ValueForm<DataLocation> {
    static let data = ValueForm(
        placeholder: "directory", requirement: "a directory, or :memory:", isText: true,
        read: { $0.isEmpty ? nil : DataLocation($0) }, show: \.text)
}

extension ValueForm<String?> {
    /// A file that need not be named.
    static func optionalFile(example: String) -> ValueForm {
        ValueForm(
            placeholder: "file", requirement: "the name of a file", isText: true,
            example: example, read: { $0.isEmpty ? nil : .some($0) }, show: { $0 ?? "" })
    }
}

extension ValueForm<String?> {
    /// Where a browser can be sent.
    static let optionalLocation = ValueForm(
        placeholder: "url", requirement: "an http or https URL, or a path that begins with /",
        isText: true, example: "https://optimizer.example.org/manual/",
        read: { text in
            let begins = ["http://", "https://", "/"].contains { text.hasPrefix($0) }
            let isPlain = text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
            return begins && isPlain && !text.hasPrefix("//") ? .some(text) : nil
        }, show: { $0 ?? "" })
}

extension ValueForm<[String]> {
    static let hosts = list(
        requirement: "a list of names or addresses, each with a port or without, and commas "
            + "between them",
        example: "optimizer.example.org", isRight: { $0.allSatisfy(AllowedHosts.isAuthority) })

    static let webhookHosts = list(
        requirement: "a list of hosts with commas between them", example: "hooks.example.com",
        isRight: { (try? WebhookTargetPolicy(hosts: $0)) != nil })

    static let webhookNetworks = list(
        requirement: "a list of addresses and networks with commas between them",
        example: "10.1.0.0/16",
        isRight: { (try? WebhookTargetPolicy(hosts: [], networks: $0)) != nil })

    private static func list(
        requirement: String, example: String,
        isRight: @escaping @Sendable ([String]) -> Bool
    ) -> ValueForm {
        ValueForm(
            placeholder: "list", requirement: requirement, isText: true, example: example,
            read: { text in
                let words = text.split(separator: ",").map { String($0.trimmingPrefix(" ")) }
                return isRight(words) ? words : nil
            },
            show: { $0.joined(separator: ",") })
    }
}

extension ValueForm
where Value: RawRepresentable<String> & CaseIterable & Sendable {
    /// One of the type's cases, by name.
    static var choice: ValueForm {
        let names = Value.allCases.map(\.rawValue).joined(separator: "|")
        return ValueForm(
            placeholder: names,
            requirement: "one of " + names.replacing("|", with: ", "), isText: true,
            read: { Value(rawValue: $0) }, show: \.rawValue)
    }
}
