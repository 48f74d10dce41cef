internal import HTTPTypes

extension HTTPField.Name {
    static let contentDisposition = HTTPField.Name("Content-Disposition")!
    static let contentDigest = HTTPField.Name("Content-Digest")!
    static let crossOriginResourcePolicy = HTTPField.Name("Cross-Origin-Resource-Policy")!
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotentReplayed = HTTPField.Name("Idempotent-Replayed")!
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
    static let link = HTTPField.Name("Link")!
    static let prefer = HTTPField.Name("Prefer")!
    static let preferenceApplied = HTTPField.Name("Preference-Applied")!
    static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
    static let wantContentDigest = HTTPField.Name("Want-Content-Digest")!

    /// The names of the fields that accompany octets, cached: making a name costs more than a
    /// lookup.
    static let octets: [String: HTTPField.Name] = {
        let names = [
            "Session", "State", "Step", "Dtype", "Count", "Evaluation", "Shards",
            "Shards-Delivered", "Hook-Call",
        ].map { "Lbfgsd-" + $0 }
        return Dictionary(
            uniqueKeysWithValues: names.compactMap { name in
                HTTPField.Name(name).map { (name, $0) }
            })
    }()
}
