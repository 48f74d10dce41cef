internal import ArgumentParser
internal import Foundation

/// The files by which `lbfgsd run` talks with a program, in a directory of their own, and the
/// program's arguments with their names.
struct EvaluationFiles {
    enum Outcome {
        case computed(loss: Double)
        case failed(reason: String)
    }

    let point: VectorFile
    let gradient: VectorFile
    private let loss: String?
    private let arguments: [String]
    private let directory: URL

    /// The longest text that the program may print: its end has the loss.
    private static let printedBytesMax = 1 << 20

    /// The extension of each `{what}` or `{what.extension}` in the arguments.
    static func places(in arguments: [String]) throws -> [String: String] {
        var places: [String: String] = [:]
        for argument in arguments {
            for match in argument.matches(of: /\{(x|gradient|loss|evaluation)(?:\.([a-z0-9]+))?\}/)
            {
                let what = String(match.output.1)
                let suffix = match.output.2.map(String.init) ?? "txt"
                guard places[what, default: suffix] == suffix else {
                    throw ValidationError("the program's arguments have {\(what)} in two forms")
                }
                places[what] = suffix
            }
        }
        return places
    }

    init(_ arguments: [String]) throws(CommandFailure) {
        self.arguments = arguments
        let places = (try? Self.places(in: arguments)) ?? [:]
        directory = FileManager.default.temporaryDirectory
            .appending(path: "lbfgsd-run-\(UUID().uuidString.prefix(8))")
        do {
            try FileManager.default.createDirectory(
                at: directory, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw CommandFailure(.storage, "\(directory.path): can't be made")
        }
        point = VectorFile(directory.appending(path: "x.\(places["x"] ?? "txt")").path)
        gradient = VectorFile(
            directory.appending(path: "gradient.\(places["gradient"] ?? "txt")").path)
        loss = places["loss"].map { [directory] in directory.appending(path: "loss.\($0)").path }
    }

    static func requireProgram(_ name: String) throws(CommandFailure) {
        let files = FileManager.default
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let places =
            name.contains("/") ? [name] : path.split(separator: ":").map { "\($0)/\(name)" }
        guard places.contains(where: { files.isExecutableFile(atPath: $0) }) else {
            throw CommandFailure(.usage, "\(name): there is no such program")
        }
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    /// Removes what the evaluation before has left: a program that writes nothing has failed.
    func removeResults() throws(CommandFailure) {
        for path in [gradient.path, loss].compactMap(\.self)
        where FileManager.default.fileExists(atPath: path) {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                throw CommandFailure(.storage, "\(path): can't be removed")
            }
        }
    }

    func runProgram(evaluation: Int) throws(CommandFailure) -> Outcome {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments.map { substituted($0, evaluation: evaluation) }
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        process.standardOutput = pipe
        do {
            try process.run()
        } catch {
            throw CommandFailure(.usage, "\(arguments[0]): can't be run: \(error)")
        }
        var printed = Data()
        while let piece = try? pipe.fileHandleForReading.read(upToCount: 65_536), !piece.isEmpty {
            printed += piece
            if printed.count > 2 * Self.printedBytesMax {
                printed = printed.suffix(Self.printedBytesMax)
            }
        }
        process.waitUntilExit()
        guard process.terminationReason == .exit else {
            return .failed(reason: "the program was ended by signal \(process.terminationStatus)")
        }
        guard process.terminationStatus == 0 else {
            return .failed(reason: "the program ended with status \(process.terminationStatus)")
        }
        return try result(printed: String(decoding: printed, as: UTF8.self))
    }

    private func result(printed: String) throws(CommandFailure) -> Outcome {
        var text = printed
        if let loss {
            guard let read = try? String(contentsOfFile: loss, encoding: .utf8) else {
                return .failed(reason: "the program wrote no loss")
            }
            text = read
        }
        let words = text.split(whereSeparator: { $0.isWhitespace || ",=:".contains($0) })
        guard let number = words.reversed().lazy.compactMap({ Double(fortran: $0) }).first else {
            return .failed(reason: "the program gave no loss")
        }
        guard number.isFinite else { return .failed(reason: "the loss is \(exactText(number))") }
        guard FileManager.default.fileExists(atPath: gradient.path) else {
            return .failed(reason: "the program wrote no gradient")
        }
        if gradient.form == .text, !(try gradient.numbers()).allSatisfy(\.isFinite) {
            return .failed(reason: "the gradient is not finite")
        }
        return .computed(loss: number)
    }

    private func substituted(_ argument: String, evaluation: Int) -> String {
        argument.replacing(/\{(x|gradient|loss|evaluation)(?:\.[a-z0-9]+)?\}/) { match in
            switch match.output.1 {
            case "x": point.path
            case "gradient": gradient.path
            case "loss": loss ?? ""
            default: String(evaluation)
            }
        }
    }
}
