import Testing

/// The modules that each module may import besides the standard library's, and what is allowed in
/// one place only. A new arrow is a decision: it is made here and in ARCHITECTURE.md.
@Suite("Arrows between modules")
struct ArrowTests {
    private static let arrows: [String: Set<String>] = [
        "LBFGS": [],
        "CLbfgsd": [],
        "EngineLibrary": ["CLbfgsd", "LBFGS"],
        "Parallel": [],
        "Telemetry": ["Logging"],
        "COpenSSL": [],
        "Hashing": ["COpenSSL"],
        "SessionModel": ["Hashing", "LBFGS"],
        "Sessions": ["LBFGS", "Parallel", "SessionModel", "Telemetry"],
        "CSobol": [],
        "Ensembles": ["CSobol", "SessionModel", "Sessions", "Telemetry"],
        "LBFGSHooks": ["LBFGS"],
        "Wire": ["SessionModel"],
        "CLinux": [],
        "DiskLog": ["CLinux"],
        "SQLiteStore": ["DiskLog", "SessionModel", "Telemetry", "GRDB", "GRDBSQLite"],
        "CMicrohttpd": [],
        "CMicrohttpdPages": [],
        "HTTPServer": ["CMicrohttpd", "CMicrohttpdPages", "HTTPTypes"],
        "CCurl": [],
        "Webhooks": ["CCurl", "Hashing"],
        "COpenAPI": [],
        "CPage": [],
        "API": [
            "COpenAPI", "CPage", "Ensembles", "Sessions", "Wire", "HTTPServer", "Telemetry",
            "HTTPTypes", "Hashing",
        ],
        "lbfgsd": [
            "Ensembles", "Sessions", "Wire", "SQLiteStore", "HTTPServer", "Webhooks", "API",
            "Telemetry", "ArgumentParser", "Yams", "CMimalloc",
        ],
        "CMimalloc": [],
    ]
    /// What comes with the toolchain. The engine has nothing of it: same input, same bits.
    private static let platform: Set<String> = [
        "Foundation", "FoundationEssentials", "Dispatch", "Synchronization", "Glibc",
    ]

    @Test("No module imports what it has no arrow to")
    func arrows() throws {
        for file in try SourceTree.swiftFiles(below: "Sources") {
            guard let allowed = Self.arrows[file.module] else {
                Issue.record("\(file) is in no module that has arrows")
                continue
            }
            let platform = file.module == "LBFGS" ? [] : Self.platform
            for name in file.imports where !allowed.contains(name) && !platform.contains(name) {
                Issue.record("\(file) imports \(name)")
            }
        }
    }

    @Test(
        "What is dangerous is imported in one place",
        arguments: [
            ("GRDB", "Sources/SQLiteStore/"),
            ("GRDBSQLite", "Sources/SQLiteStore/Database/PreparedStatement.swift"),
            ("CMicrohttpd", "Sources/HTTPServer/MicroHTTPD/"),
            ("CMicrohttpdPages", "Sources/HTTPServer/MicroHTTPD/"),
            ("ArgumentParser", "Sources/lbfgsd/"), ("Yams", "Sources/lbfgsd/"),
            ("CCurl", "Sources/Webhooks/Curl/"), ("COpenSSL", "Sources/Hashing/"),
            ("CPage", "Sources/API/Page/"),
            ("CLinux", "Sources/DiskLog/"), ("CSobol", "Sources/Ensembles/Designs/"),
            ("CMimalloc", "Sources/lbfgsd/Service/Allocator.swift"),
            ("Parallel", "Sources/Sessions/"),
            ("CLbfgsd", "Sources/EngineLibrary/"),
        ])
    func onlyHere(name: String, folder: String) throws {
        for file in try SourceTree.swiftFiles(below: "Sources")
        where file.imports.contains(name) && !file.path.hasPrefix(folder) {
            Issue.record("\(file) imports \(name)")
        }
    }

    @Test("The C library has nothing of Foundation, which would make it several times as large")
    func library() throws {
        for file in try SourceTree.swiftFiles(below: "Sources/EngineLibrary") {
            for name in file.imports where name.hasPrefix("Foundation") {
                Issue.record("\(file) imports \(name)")
            }
        }
    }

    @Test("Only Wire knows JSON")
    func json() throws {
        let words = ["JSONDecoder", "JSONEncoder", "JSONSerialization", "JSONText", "JSONParser"]
        for file in try SourceTree.swiftFiles(below: "Sources") where file.module == "API" {
            for word in words where file.says(word) { Issue.record("\(file) says \(word)") }
        }
    }

    @Test("Wire knows neither HTTP nor SQL")
    func wire() throws {
        for file in try SourceTree.swiftFiles(below: "Sources/Wire") {
            for word in ["HTTPField", "HTTPFields", "HTTPResponse", "HTTPRequest", "SQL", "Store"]
            where file.says(word) {
                Issue.record("\(file) says \(word)")
            }
        }
    }

    @Test("Only `Problem` turns errors into statuses")
    func statuses() throws {
        let cases = [
            "badRequest", "unauthorized", "forbidden", "methodNotAllowed", "notAcceptable",
            "conflict", "gone", "lengthRequired", "preconditionFailed", "contentTooLarge",
            "unprocessableContent", "tooManyRequests", "internalServerError", "serviceUnavailable",
        ]
        for file in try SourceTree.swiftFiles(below: "Sources/API")
        where file.name != "Problem.swift" && file.name != "Problem+Errors.swift" {
            for word in cases where file.text.contains("status: .\(word)") {
                Issue.record("\(file) answers .\(word)")
            }
            for error in ["SessionError", "WireError", "RequestRejection"]
            where file.text.contains("case let error as \(error)")
                || file.text.contains("catch let error as \(error)")
            {
                Issue.record("\(file) looks into a \(error)")
            }
        }
    }

    @Test("Tests see what the package sees")
    func testable() throws {
        for folder in ["Sources", "Tests"] {
            // Fuzz targets call decoders that have no caller in another module.
            for file in try SourceTree.swiftFiles(below: folder)
            where !"\(file)".hasPrefix("Tests/fuzz/")
                && file.lines.contains(where: { $0.hasPrefix("@test" + "able") })
            {
                Issue.record("\(file) sees more than its neighbours do")
            }
        }
    }

    private static let fusing = [
        "Sources/LBFGS/TorchOrder/TorchOrder.swift",
        "Sources/LBFGS/Passes/DotProductPass.swift",
    ]

    @Test("The engine has no clock, randomness, logging, concurrency or class")
    func engine() throws {
        let words = [
            "async", "await", "actor", "class", "print", "Date", "ContinuousClock", "Task",
            "random", "SystemRandomNumberGenerator", "fma", "addProduct",
        ]
        for file in try SourceTree.swiftFiles(below: "Sources/LBFGS") {
            for word in words where file.says(word) { Issue.record("\(file) says \(word)") }
            // Fused where torch fuses, and where products are exact.
            if file.says("addingProduct"), !Self.fusing.contains(file.path) {
                Issue.record("\(file) fuses")
            }
        }
    }
}
