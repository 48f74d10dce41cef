internal import ArgumentParser
internal import Foundation

/// A start and its bounds.
struct StartOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The start: numbers with commas between, or a file (.npy, else text).",
            valueName: "numbers|file"))
    var x0: String?

    @Option(help: ArgumentHelp("In place of --x0: so many numbers.", valueName: "count"))
    var n: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("With --n, what each number is.", valueName: "number"))
    var fill = 0.0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Lower bounds: one number for all, numbers with commas between, or a file.",
            valueName: "numbers|file"))
    var lower: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Upper bounds, likewise.", valueName: "numbers|file"))
    var upper: String?

    @Option(help: "float64 or float32.")
    var dtype = "float64"

    /// Whether exactly one of the two ways to give the start is used.
    func requireStart() throws(CommandFailure) {
        guard (x0 == nil) != (n == nil) else {
            throw CommandFailure(.usage, "give the start by --x0, or by --n and --fill")
        }
    }

    static func numbers(_ text: String) throws(CommandFailure) -> [Double] {
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        if words.allSatisfy({ Double(fortran: $0) != nil }) {
            return try VectorFile.numbers(text, in: text)
        }
        let file = VectorFile(text)
        guard file.form == .text else {
            throw CommandFailure(
                .usage, "\(text): a start or bounds are read from text; use --n and PUT params")
        }
        return try file.numbers()
    }
}

/// What a session is made of.
struct ProblemOptions: ParsableArguments {
    @OptionGroup
    var start: StartOptions

    @Option(help: ArgumentHelp("A label; may be given several times.", valueName: "key=value"))
    var label: [String] = []

    @Option(
        name: [.customLong("option"), .customShort("o")],
        help: ArgumentHelp(
            "An option of the session, such as mode=torch or history_size=10.",
            valueName: "key=value"))
    var sessionOptions: [String] = []

    /// The body of the request.
    /// - Parameter defaults: Options that none of the given ones replaces.
    func document(
        name: String?, defaults: [String: Any] = ["mode": "robust"]
    ) throws(CommandFailure) -> [UInt8] {
        var object = try commonMembers(name: name, defaults: defaults)
        try start.requireStart()
        if let x0 = start.x0 {
            object["x0"] = try StartOptions.numbers(x0).map(Self.json)
        } else if let n = start.n {
            var tensor: [String: Any] = ["shape": [n], "fill": start.fill]
            for key in ["lower", "upper"] { tensor[key] = object.removeValue(forKey: key) }
            object["params"] = [tensor]
        }
        return try Self.bytes(object)
    }

    /// The body of the request for an ensemble, whose starts are in the box.
    func ensembleDocument(
        name: String, starts: Int, seed: Int, defaults: [String: Any]
    ) throws(CommandFailure) -> [UInt8] {
        guard start.lower != nil, start.upper != nil else {
            throw CommandFailure(.usage, "--starts needs the box of --lower and --upper")
        }
        guard start.x0 == nil else {
            throw CommandFailure(.usage, "--starts is in place of --x0: give --n")
        }
        var object = try commonMembers(name: name, defaults: defaults)
        object["n"] = start.n
        object["starts"] = ["method": "sobol", "count": starts, "seed": seed]
        return try Self.bytes(object)
    }

    private func commonMembers(
        name: String?, defaults: [String: Any]
    ) throws(CommandFailure) -> [String: Any] {
        var object: [String: Any] = ["dtype": start.dtype]
        object["name"] = name
        var settings = defaults
        for text in sessionOptions {
            let (key, value) = try member(text)
            settings[key] = value
        }
        object["options"] = settings
        var labels: [String: String] = [:]
        for text in label {
            let (key, value) = try labelParts(text)
            labels[key] = value
        }
        if !labels.isEmpty { object["labels"] = labels }
        for (key, text) in [("lower", start.lower), ("upper", start.upper)] {
            guard let text else { continue }
            let numbers = try StartOptions.numbers(text)
            object[key] = numbers.count == 1 ? Self.json(numbers[0]) : numbers.map(Self.json)
        }
        return object
    }

    private static func bytes(_ object: [String: Any]) throws(CommandFailure) -> [UInt8] {
        do {
            return [UInt8](try JSONSerialization.data(withJSONObject: object))
        } catch {
            throw CommandFailure(.usage, "the request can't be written as JSON: \(error)")
        }
    }

    private static func json(_ number: Double) -> Any {
        number.isFinite ? number : number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    }
}

struct CreateCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a session, and print its identifier.",
        discussion: """
              lbfgsd create --x0 -1.2,1 --name rosenbrock
              lbfgsd create --n 1000 --fill 0.5 --lower 0 --upper 1 -o history_size=10

            The mode is robust unless -o mode=torch is given.
            """)

    @Option(help: "Name of the session.")
    var name: String?

    @OptionGroup
    var problem: ProblemOptions

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let body = try peer.call("POST", "/v1/sessions", problem.document(name: name))
        if options.json { return printLine(body) }
        print(try Peer.decode(SessionDetail.self, from: body).id)
    }
}
