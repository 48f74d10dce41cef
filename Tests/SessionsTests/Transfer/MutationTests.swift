import Foundation
import Sessions
import TestKit
import Testing

/// A generator whose seed repeats a run: SplitMix64 (Steele, Lea & Flood 2014).
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func chance(_ share: Int) -> Bool { Int.random(in: 0..<share, using: &self) == 0 }

    mutating func one<Value>(of values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &self)]
    }
}

/// What a hostile exporter may write in place of a value.
private var values: [Any] {
    [
        0, 1, -1, 2, 3, 7, 50, 1 << 20, 1 << 53, Int.max, Int.min, Int.max - 1, 0.5, -0.5, 1e308,
        -1e308, Double.leastNonzeroMagnitude, 1e-9, "NaN", "Infinity", "-Infinity", "", "torch",
        "robust", "x", true,
        false, NSNull(), [Any](), [String: Any](), [1, 2], [0, Int.max],
        [["idle": [String: Any]()]],
    ]
}

/// The numbers that a tensor may be overwritten with.
private let numbers: [Double] = [
    .nan, .infinity, -.infinity, 0, -0.0, 1e308, -1e308, 1e38, .leastNonzeroMagnitude, 1, -1,
]

/// A place in a JSON document.
private typealias Path = [Step]
private enum Step {
    case key(String)
    case index(Int)
}

private func paths(_ value: Any, _ path: Path = []) -> [Path] {
    var all = path.isEmpty ? [] : [path]
    if let object = value as? [String: Any] {
        for key in object.keys.sorted() {
            all += paths(object[key] ?? NSNull(), path + [.key(key)])
        }
    } else if let array = value as? [Any] {
        for (index, element) in array.enumerated() {
            all += paths(element, path + [.index(index)])
        }
    }
    return all
}

private func value(at path: Path, in document: Any) -> Any {
    path.reduce(document) { value, step in
        switch step {
        case .key(let key): (value as? [String: Any])?[key] ?? NSNull()
        case .index(let index): (value as? [Any])?[index] ?? NSNull()
        }
    }
}

/// The document with another value in a place; nil removes it.
private func replacing(_ path: ArraySlice<Step>, in document: Any, with new: Any?) -> Any {
    guard let step = path.first else { return new ?? NSNull() }
    let isLast = path.count == 1
    switch step {
    case .key(let key):
        guard var object = document as? [String: Any] else { return document }
        object[key] =
            isLast
            ? new : replacing(path.dropFirst(), in: object[key] ?? NSNull(), with: new)
        return object
    case .index(let index):
        guard var array = document as? [Any], array.indices.contains(index) else {
            return document
        }
        if isLast, new == nil {
            array.remove(at: index)
        } else {
            array[index] =
                isLast
                ? new ?? NSNull() : replacing(path.dropFirst(), in: array[index], with: new)
        }
        return array
    }
}

extension SessionFile {
    /// With up to three changes of its scalars, its table of tensors or its numbers. What was
    /// changed is described.
    fileprivate func mutated(_ generator: inout Generator) -> (file: SessionFile, what: String) {
        var file = self
        var what: [String] = []
        repeat {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: what.append(file.dropTensor(&generator))
            case 1, 2: what.append(file.overwriteNumbers(&generator))
            default: what.append(file.changeScalar(&generator))
            }
        } while generator.chance(2) && what.count < 3
        return (file, what.joined(separator: "; "))
    }

    private mutating func changeScalar(_ generator: inout Generator) -> String {
        // More of what is in the engine.
        let key = generator.chance(3) ? "session" : "engine"
        let text = header.metadata[key] ?? ""
        guard let document = try? JSONSerialization.jsonObject(with: Data(text.utf8)) else {
            return "nothing"
        }
        let all = paths(document)
        guard !all.isEmpty else { return "nothing" }
        let path = generator.one(of: all)
        var new: Any?
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: new = nil
        case 1: new = value(at: generator.one(of: all), in: document)
        case 2:
            // Close to what it was.
            let old = value(at: path, in: document)
            let number = (old as? NSNumber)?.doubleValue ?? 1
            if let whole = Int(exactly: number) {
                new = whole &+ generator.one(of: [-2, -1, 1, 2])
            } else {
                new = number * generator.one(of: [-1, 0.5, 2, 1e10, 1e300])
            }
        case 3:
            let old = value(at: path, in: document)
            new = (old as? [Any]).map { $0 + $0 } ?? [old, old]
        default: new = generator.one(of: values)
        }
        let changed = replacing(path[...], in: document, with: new)
        guard JSONSerialization.isValidJSONObject(changed),
            let data = try? JSONSerialization.data(withJSONObject: changed, options: [.sortedKeys])
        else { return "nothing" }
        header.metadata[key] = String(decoding: data, as: UTF8.self)
        return "\(key)\(path) = \(String(describing: new))"
    }

    private mutating func dropTensor(_ generator: inout Generator) -> String {
        guard !contents.isEmpty else { return "nothing" }
        let index = Int.random(in: 0..<contents.count, using: &generator)
        if generator.chance(3) {
            header.entries[index].name = generator.one(
                of: ["trial/1", "trial/2", "best", "s/0", "y/9007199254740993", "shard/7", "q"])
            return "renamed \(index) to \(header.entries[index].name)"
        }
        contents.remove(at: index)
        return "dropped \(header.entries.remove(at: index).name)"
    }

    private mutating func overwriteNumbers(_ generator: inout Generator) -> String {
        guard !contents.isEmpty else { return "nothing" }
        let index = Int.random(in: 0..<contents.count, using: &generator)
        let entry = header.entries[index]
        guard var bytes = try? contents[index].bytes(), !bytes.isEmpty else { return "nothing" }
        let number = generator.one(of: numbers)
        let written: [UInt8] =
            switch entry.number {
            case .float64: Vector.float64([number]).bytes
            case .float32: Vector.float32([Float(number)]).bytes
            case .bfloat16: Array(Vector.float32([Float(number)]).bytes[2...])
            case .octet: [0]
            }
        let all = generator.chance(2)
        for place in 0..<entry.count where all || generator.chance(entry.count) {
            for (offset, byte) in written.enumerated() {
                bytes[place * written.count + offset] = byte
            }
        }
        contents[index] = Octets(bytes)
        return "\(entry.name) has \(number)"
    }
}

struct MutationTests {
    /// Seeds and numbers of mutations that ended the process once.
    private static let trapsOnce: [(UInt64, Int)] = [(1001, 2580)]

    /// Files of every variant, taken at every third event of a run.
    private func makeFiles() async throws -> [(variant: Variant, file: SessionFile)] {
        var files: [(Variant, SessionFile)] = []
        for variant in Variant.all {
            let run = try await Run(variant)
            for event in 0..<40 {
                if event % 3 == 0 { files.append((variant, try await run.export())) }
                try await run.advance()
            }
        }
        return files
    }

    @Test func `a file that was changed is refused by field, or its session can be driven`()
        async throws
    {
        let environment = ProcessInfo.processInfo.environment
        let seed =
            environment["LBFGSD_MUTATION_SEED"].flatMap(UInt64.init) ?? 7
        let count = environment["LBFGSD_MUTATIONS"].flatMap(Int.init) ?? 2_000
        print("mutations: LBFGSD_MUTATION_SEED=\(seed) LBFGSD_MUTATIONS=\(count)")
        let files = try await makeFiles()
        #expect(files.count > 100)
        var (refused, driven) = (0, 0)
        let found = Self.trapsOnce.filter { _ in environment["LBFGSD_MUTATION_SEED"] == nil }
        for (seed, index) in found + (0..<count).map({ (seed, $0) }) {
            var generator = Generator(state: seed &* 1_000_003 &+ UInt64(index))
            let (variant, original) = generator.one(of: files)
            let (file, what) = original.mutated(&generator)
            // A trap would leave no other trace of which it was.
            if environment["LBFGSD_MUTATION_TRACE"] != nil { print("\(index): \(what)") }
            let began = ContinuousClock.now
            do {
                let store = MemoryStore()
                let service = makeService(store: store)
                let id = try await service.insert(try imported(file)).value.record.id
                try await drive(Run(variant: variant, service: service, id: id), &generator)
                // What it has become can be stored, loaded and moved on.
                await service.shutdown()
                let loaded = try await makeService(store: store).turn(id)
                #expect(loaded.session == id, "\(index): \(what)")
                driven += 1
            } catch SessionError.invalid(let errors) {
                refused += 1
                #expect(errors.allSatisfy { !$0.field.isEmpty }, "\(index): \(what): \(errors)")
            } catch {
                Issue.record("\(index) of seed \(seed): \(what): \(error)")
            }
            #expect(ContinuousClock.now - began < .seconds(20), "\(index) of seed \(seed): \(what)")
        }
        print("mutations: \(refused) refused, \(driven) driven")
        #expect(refused > count / 4 && driven > count / 20)
    }

    /// Fifty events of any kind. What the session refuses is an answer too.
    private func drive(_ run: Run, _ generator: inout Generator) async throws {
        for _ in 0..<50 {
            let turn = try await run.turn()
            let count = turn.x.count
            do {
                switch Int.random(in: 0..<12, using: &generator) {
                case 0: _ = try await run.service.withSession(run.id) { try await $0.stop() }
                case 1: _ = try await imported(run.export())
                case 2:
                    let values = (0..<count).map { _ in generator.one(of: [0, 1, -2.5]) }
                    _ = try await run.service.withSession(run.id) {
                        try await $0.setParameters(.flat(values))
                    }
                case 3:
                    _ = try await run.service.withSession(run.id) { try await $0.stateDict() }
                case 4, 5:
                    guard let number = turn.evaluation, turn.shards == nil else { fallthrough }
                    // NaN and infinity are answers too.
                    let gradient = (0..<count).map { _ in generator.one(of: numbers) }
                    _ = try await run.service.tell(
                        run.id, evaluation: number,
                        .evaluated(loss: generator.one(of: numbers), gradient: .flat(gradient)))
                default: try await run.advance()
                }
            } catch is SessionError {
                // A running step, an idle session, a vector of another length ...
            }
        }
    }
}

extension Run {
    fileprivate init(variant: Variant, service: SessionService, id: SessionID) {
        self.variant = variant
        self.service = service
        self.id = id
    }
}
