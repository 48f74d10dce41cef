import LBFGS
import Testing

struct BoundsTests {
    @Test func `bounds of float32 are rounded inwards, and reached exactly`() throws {
        let bounds = try Bounds<Float>(lower: .uniform(0.1), upper: .uniform(0.3), count: 2)
        let (least, most) = (bounds.lower(at: 0), bounds.upper(at: 1))
        #expect(Double(least) >= 0.1 && Double(least.nextDown) < 0.1)
        #expect(Double(most) <= 0.3 && Double(most.nextUp) > 0.3)
        let (point, moved) = bounds.projected([0, 1])
        #expect(point.map(\.bitPattern) == [least.bitPattern, most.bitPattern] && moved == 2)
        let large = try Bounds<Float>(lower: .uniform(-1e300), upper: .uniform(1e300), count: 1)
        #expect(large.lower(at: 0) == -.greatestFiniteMagnitude)
        #expect(large.upper(at: 0) == .greatestFiniteMagnitude)
    }

    @Test func `a number for all stays one number, and infinite bounds are none`() throws {
        let bounds = try Bounds<Double>(
            lower: .uniform(0), upper: .each([.infinity, .infinity]), count: 2)
        #expect(bounds.lower == .uniform(0) && bounds.upper == .none && !bounds.isEmpty)
        let none = try Bounds<Double>(
            lower: .each([-.infinity, -.infinity]), upper: .uniform(.infinity), count: 2)
        #expect(none.isEmpty && none == .none)
        #expect(try L1Weights<Float>(.each([0, 0]), count: 2).isEmpty)
    }

    @Test func `a wrong bound is named with its index`() {
        func error(
            _ lower: ParameterValues<Double>, _ upper: ParameterValues<Double> = .none
        ) -> BoundsError? {
            do {
                _ = try Bounds<Float>(lower: lower, upper: upper, count: 3)
                return nil
            } catch {
                return error
            }
        }
        #expect(error(.each([0, .nan, 0])) == .notANumber(.lower, index: 1))
        #expect(error(.none, .uniform(.nan)) == .notANumber(.upper, index: nil))
        #expect(error(.each([0, 0])) == .wrongCount(.lower, expected: 3, got: 2))
        #expect(
            error(.each([0, 0, 2]), .uniform(1))
                == .lowerAboveUpper(index: 2, lower: 2, upper: 1))
        #expect(
            error(.uniform(2), .uniform(1)) == .lowerAboveUpper(index: nil, lower: 2, upper: 1))
        #expect(
            error(.uniform(0.1), .uniform(0.1))
                == .nothingBetween(index: nil, lower: 0.1, upper: 0.1))
        #expect(error(.each([0, 0, 1e39])) == .infinite(.lower, index: 2, value: 1e39))
        #expect(
            error(.none, .uniform(-.infinity)) == .infinite(.upper, index: nil, value: -.infinity))
        #expect(throws: BoundsError.weight(index: 1, value: -1)) {
            try L1Weights<Double>(.each([0, -1]), count: 2)
        }
        #expect(throws: BoundsError.weight(index: nil, value: .infinity)) {
            try L1Weights<Double>(.uniform(.infinity), count: 2)
        }
        #expect(error(.each([0, 0, 2]), .uniform(1))?.reason.contains("index 2") == true)
    }

    @Test func `torch's mode has no bounds and no L1 term`() throws {
        var optimizer = try Optimizer([0.0, 0.0])
        let bounds = try Bounds<Double>(lower: .none, upper: .uniform(1), count: 2)
        #expect(throws: BoundsError.needsRobustMode(.upper)) { try optimizer.check(bounds) }
        let l1 = try L1Weights<Double>(.uniform(1), count: 2)
        #expect(throws: BoundsError.needsRobustMode(.l1)) { try optimizer.check(l1) }
        try optimizer.setBounds(.none)
        #expect(optimizer.numerics == numericsVersion)
        optimizer.options = Options(mode: .robust)
        try optimizer.setBounds(bounds)
        #expect(throws: OptionError.boundsNeedRobustMode) { try optimizer.check(Options()) }
        #expect(optimizer.numerics == numericsVersionWithBounds)
        let others = try Bounds<Double>(lower: .each([0]), upper: .none, count: 1)
        #expect(throws: BoundsError.wrongCount(.lower, expected: 2, got: 1)) {
            try optimizer.check(others)
        }
    }
}
