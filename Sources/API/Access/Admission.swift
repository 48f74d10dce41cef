public import HTTPServer
internal import HTTPTypes
internal import Wire

/// For `HTTPServer(authorize:)`: whether a request may be made at all, by its header alone. Its
/// body is not read before that.
///
/// Each request calls `policy`, so that it can change while the server runs.
public func makeAdmit(
    hosts: AllowedHosts, policy: @escaping @Sendable () -> AccessPolicy
) -> HTTPServer.Authorize {
    { head, route in
        let policy = policy()
        let isOpen = route.map(policy.isOpen) ?? false
        if let problem = refusal(head, hosts, isOpen: isOpen) { return problem.response(to: head) }
        return isOpen ? nil : policy.authorize(head, route)
    }
}

/// What a browser says about the page that makes it send a request.
private struct Provenance {
    var host: String?
    var origin: String?
    var fetchSite: String?

    /// One pass over the fields. Several fields of one name are as wrong as their joined values.
    init(_ head: RequestHead) {
        for field in head.headerFields {
            switch field.name.canonicalName {
            case "host": host = host.map { $0 + ", " + field.value } ?? field.value
            case "origin": origin = origin.map { $0 + ", " + field.value } ?? field.value
            case "sec-fetch-site":
                fetchSite = fetchSite.map { $0 + ", " + field.value } ?? field.value
            default: break
            }
        }
    }

    /// Whether the user, and no other site's page, made the browser send the request. Clients that
    /// are no browsers say nothing.
    var isFetchedFromHere: Bool {
        fetchSite == nil || fetchSite == "same-origin" || fetchSite == "none"
    }
}

/// Why a request must not be answered: it is meant for another host, or a page of another origin
/// makes the browser send it. A page may read what is open to everybody.
private func refusal(_ head: RequestHead, _ hosts: AllowedHosts, isOpen: Bool) -> Problem? {
    let provenance = Provenance(head)
    if !hosts.admits(provenance.host) { return misdirected(to: provenance.host) }
    if let authority = head.targetAuthority, !hosts.admits(authority) {
        return misdirected(to: authority)
    }
    if isOpen, head.method == .get || head.method == .head { return nil }
    if let origin = provenance.origin, !hosts.isOwn(origin: origin, host: provenance.host) {
        return Problem(
            .foreignOrigin, "A page of \(shortened(origin)) must not send requests here.",
            members: [("origin", .string(shortened(origin)))])
    }
    guard provenance.isFetchedFromHere else {
        return Problem(
            .foreignOrigin, "A page of another site must not send requests here (Sec-Fetch-Site).")
    }
    return nil
}

private func misdirected(to host: String?) -> Problem {
    guard let host, !host.isEmpty else {
        return Problem(.misdirected, "Say in Host whom the request is meant for.")
    }
    return Problem(
        .misdirected,
        "The request is meant for \(shortened(host)), and this daemon is known by other names; "
            + "its setting allowed-hosts can add this one.",
        members: [("host", .string(shortened(host)))])
}

private func shortened(_ text: String) -> String {
    text.utf8.count <= 100 ? text : text.prefix(100) + "..."
}
