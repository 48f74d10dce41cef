import Foundation
import LBFGS
import Testing

struct OptionsTests {
    private func decoded(_ json: String) throws -> Options {
        try JSONDecoder().decode(Options.self, from: Data(json.utf8))
    }

    @Test func `options stored before robust mode are read, with everything new off`() throws {
        let options = try decoded(
            """
            {"lr": 0.5, "maxIterations": 7, "maxEvaluations": 9, "toleranceGradient": 1e-3,
             "toleranceChange": 1e-4, "historySize": 3, "lineSearch": "strong_wolfe",
             "mode": "torch"}
            """)
        #expect(
            options
                == Options(
                    lr: 0.5, maxIterations: 7, maxEvaluations: 9, toleranceGradient: 1e-3,
                    toleranceChange: 1e-4, historySize: 3, lineSearch: .strongWolfe))
        #expect(!options.reuseEvaluation && options.toleranceGradientRelative == 0)
    }

    @Test func `missing keys take the defaults of the mode`() throws {
        #expect(try decoded("{}") == Options())
        #expect(try decoded(#"{"mode": "robust"}"#) == Options(mode: .robust))
        #expect(try decoded(#"{"maxIterations": 100}"#).maxEvaluations == 125)
    }

    @Test func `what is written is read back`() throws {
        for noise in [Noise?.none, .float32, .float64, .relative(1e-5)] {
            let options = Options(
                maxIterations: 3, lineSearch: .moreThuente, mode: .robust, noise: noise,
                toleranceGradientRelative: 1e-6, toleranceLossRelative: 1e-12,
                reuseEvaluation: false)
            let bytes = try PropertyListEncoder().encode(options)
            #expect(try PropertyListDecoder().decode(Options.self, from: bytes) == options)
        }
        #expect(try decoded(#"{"noise": 1e-5}"#).noise == .relative(1e-5))
        #expect(throws: DecodingError.self) { try decoded(#"{"noise": "float8"}"#) }
    }

    @Test func `options out of range are named with what is allowed`() {
        func error(_ options: Options) -> OptionError? {
            do {
                try options.validate()
                return nil
            } catch { return error }
        }
        for search in Options.LineSearchFunction.allCases where search != .strongWolfe {
            #expect(
                error(Options(lineSearch: search)) == .lineSearchNeedsRobustMode(search))
        }
        #expect(error(Options(lineSearch: .hagerZhang))?.reason == "hager_zhang needs mode robust")
        #expect(error(Options(lr: 0, mode: .robust))?.option == "lr")
        #expect(error(Options(toleranceGradientRelative: -1))?.option == "tolerance_grad_relative")
        #expect(
            error(Options(toleranceLossRelative: .nan))?.option == "tolerance_loss_relative")
        for epsilon in [-1e-9, 1, .nan, .infinity] {
            #expect(error(Options(noise: .relative(epsilon)))?.option == "noise")
        }
        for search in Options.LineSearchFunction.allCases {
            #expect(error(Options(lineSearch: search, mode: .robust)) == nil)
        }
    }
}
