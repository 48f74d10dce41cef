// The parts of the daemon's answers that the commands show.

struct SessionList: Decodable {
    var sessions: [SessionLine]
    var nextPageToken: String?
}

/// What a purge answers.
struct PurgeAnswer: Decodable {
    var count: Int
    var sessions: [String]
    var deleted: Int?
    var more: Bool?
}

struct SessionLine: Decodable {
    var id: String
    var name: String?
    var labels: [String: String]
    var state: String
    var n: Int
    var step: Int
    var evaluation: Int
    var loss: Double?
    var best: SessionDetail.Best?
    var updatedAt: String
}

struct SessionDetail: Decodable {
    struct Origin: Decodable {
        var session: String?
        var checkpoint: String?
    }

    struct Best: Decodable {
        var loss: Double?
        var evaluation: Int?
    }

    var id: String
    var name: String?
    var labels: [String: String]
    var state: String
    var dtype: String
    var n: Int
    var options: [String: OptionValue]
    var bounded: Bool
    var step: Int
    var evaluation: Int
    var loss: Double?
    var origin: Origin?
    var best: Best?
    var diskBytes: Int
    var memoryBytesEstimate: Int
    var createdAt: String
    var updatedAt: String
    var expiresAt: String?
}

/// The value of an option.
enum OptionValue: Decodable, CustomStringConvertible {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    var description: String {
        switch self {
        case .null: "none"
        case .flag(let flag): flag ? "true" : "false"
        case .number(let number): shortText(number)
        case .text(let text): text
        }
    }
}

struct TurnAnswer: Decodable {
    struct Evaluation: Decodable {
        var number: Int
        var x: [Double]?
    }

    var session: String
    var state: String
    var step: Int
    var evaluation: Evaluation?
    var x: [Double]?
    var result: StepOutcome?
}

struct StepOutcome: Decodable {
    var reason: String
    var converged: Bool
    var loss: Double?
    var iterations: Int
    var evaluations: Int
    var gradientNormInf: Double?
}

struct StepAnswer: Decodable {
    var step: Int
    var result: StepOutcome?
}

struct TraceLine: Decodable {
    var evaluation: Int
    var step: Int
    var iteration: Int
    var loss: Double?
    var gradientNormInf: Double?
    var stepLength: Double
}

struct CheckpointList: Decodable {
    var checkpoints: [CheckpointLine]
    var nextPageToken: String?
}

struct CheckpointLine: Decodable {
    var id: String
    var name: String?
    var step: Int
    var evaluation: Int
    var loss: Double?
    var keep: Bool
    var createdAt: String
}
