internal import HTTPServer
internal import HTTPTypes
internal import Wire

/// The page about a kind of problem, to which the `type` of its problems leads.
struct ProblemPage {
    var kind: Problem.Kind

    /// What each extension member is.
    static let memberMeanings: KeyValuePairs = [
        "errors": "The fields that are wrong, each with the reason.",
        "resource": "What was not found.",
        "step": "The step.",
        "shards": "The number of shards of the evaluation.",
        "hook_call": "The hook call that the request addressed.",
        "evaluation": "The evaluation that the request addressed.",
        "pending_evaluation": "The pending evaluation; absent if none is.",
        "current": "The session's entity tag.",
        "content_digest": "The digest in the request.",
        "computed_digest": "The digest of the body that arrived.",
        "length": "The size of the whole response in bytes.",
        "limit": "The value of the limit or quota.",
        "limit_name": "The name of the limit.",
        "quota": "The name of the quota.",
        "used": "How much of the quota is used.",
        "needed": "How much more the request needs.",
        "needed_bytes": "The memory, or the space on disk, that is needed.",
        "reserved_bytes": "The memory that sessions in use have.",
        "available_bytes": "The space that is left on the disk.",
        "reserve_bytes": "The space that is kept for results.",
        "scope": "The scope that the operation needs.",
        "term": "The term of the store that was promoted.",
        "standby": "The standby that follows the server.",
        "retry_after_seconds": "Seconds to wait before trying again, as in `Retry-After`.",
        "host": "The host that the request named.",
        "origin": "The origin of the page that sent the request.",
        "available": "The media types that the resource has.",
        "accepted": "The media types that the operation accepts.",
        "allow": "The methods that are allowed.",
    ]

    /// Those of the kind, in the order of the table above.
    private var members: [(name: String, meaning: String)] {
        let names = kind.guide.members
        return Self.memberMeanings.filter { names.contains($0.key) }
            .map { (name: $0.key, meaning: $0.value) }
    }

    func response(as representation: Representation) -> Response {
        guard representation == .html else { return Response(document.json) }
        // The page loads nothing and runs nothing.
        return Response(Array(html.utf8), as: .html)
            .with(.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
    }

    private var document: ProblemTypeDocument {
        ProblemTypeDocument(
            type: kind.path, title: kind.title, status: kind.status.code,
            meaning: kind.guide.meaning, members: members, action: kind.guide.action)
    }

    private var html: String {
        let fields = members.map { member in
            "<dt><code>\(member.name)</code></dt><dd>\(markup(member.meaning))</dd>\n"
        }
        let list =
            fields.isEmpty
            ? "" : "<h2>Members of the document</h2>\n<dl>\n\(fields.joined())</dl>\n"
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(markup(kind.title))</title>
            </head>
            <body>
            <h1>\(markup(kind.title))</h1>
            <p>Status \(kind.status.code), type <code>\(kind.path)</code>.</p>
            <p>\(markup(kind.guide.meaning))</p>
            <h2>What to do</h2>
            <p>\(markup(kind.guide.action))</p>
            \(list)<p><a href="/openapi.yaml">openapi.yaml</a> describes all problems.</p>
            </body>
            </html>

            """
    }

    /// A text of the tables in HTML: what is between backquotes is code.
    private func markup(_ text: String) -> String {
        var isCode = false
        var result = ""
        for character in text {
            switch character {
            case "`":
                isCode.toggle()
                result += isCode ? "<code>" : "</code>"
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
        return result
    }
}
