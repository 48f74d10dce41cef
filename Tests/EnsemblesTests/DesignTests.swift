import Ensembles
import Foundation
import SessionModel
import Testing

@Suite("Designs of starts")
struct DesignTests {
    @Test("Sobol's points are SciPy's, bit for bit")
    func sobol() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Fixtures/sobol.txt")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 153)
        let sequence = SobolSequence(dimensions: SobolSequence.dimensionsMax)
        var points: [Int: [UInt32]] = [:]
        for line in lines {
            let fields = line.split(separator: " ").compactMap { Int($0) }
            if points[fields[1]] == nil { points[fields[1]] = sequence.point(fields[1]) }
            let coordinate = try #require(points[fields[1]]?[fields[0]])
            #expect(coordinate == UInt32(fields[2]) << 2, "\(line)")
        }
    }

    @Test("A sequence of fewer dimensions is the beginning of one of more")
    func dimensions() {
        let more = SobolSequence(dimensions: 50).point(777)
        #expect(SobolSequence(dimensions: 7).point(777) == Array(more[..<7]))
    }

    @Test("A digital shift keeps a net's property: each slice of 2^-k has one point")
    func shifted() throws {
        let design = StartDesign.sobol(seed: 9, skip: 0)
        let points = try #require(design.points(count: 64, dimensions: 11))
        for j in 0..<11 {
            #expect(Set(points.map { Int($0[j] * 64) }).count == 64)
        }
        let plain = try #require(
            StartDesign.sobol(seed: nil, skip: 0).points(count: 64, dimensions: 11))
        #expect(plain[0] == [Double](repeating: 0, count: 11))
        #expect(points[0].allSatisfy { $0 > 0 && $0 < 1 })
    }

    @Test("Skipping leaves out the first points")
    func skip() throws {
        let all = try #require(StartDesign.sobol(seed: 3, skip: 0).points(count: 20, dimensions: 4))
        let rest = try #require(
            StartDesign.sobol(seed: 3, skip: 5).points(count: 15, dimensions: 4))
        #expect(Array(all[5...]) == rest)
    }

    @Test(
        "A Latin hypercube has one point in each slice of each coordinate",
        arguments: [1, 2, 7, 100])
    func latinHypercube(count: Int) throws {
        for seed in 0..<5 {
            let design = StartDesign.latinHypercube(seed: seed)
            let points = try #require(design.points(count: count, dimensions: 6))
            for j in 0..<6 {
                let slices = points.map { Int($0[j] * Double(count)) }
                #expect(slices.sorted() == Array(0..<count))
            }
        }
    }

    @Test("SplitMix64's numbers are those that its authors give")
    func generator() {
        var generator = SplitMix64(seed: 1_234_567)
        let numbers = (0..<3).map { _ in generator.next() }
        #expect(
            numbers == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
            ])
    }

    @Test("A seed gives the same starts again, another one others")
    func seeds() throws {
        for design in [
            { StartDesign.uniform(seed: $0) }, { .latinHypercube(seed: $0) },
            { .sobol(seed: $0, skip: 0) },
        ] as [(Int) -> StartDesign] {
            let one = design(1).points(count: 9, dimensions: 5)
            #expect(one == design(1).points(count: 9, dimensions: 5))
            #expect(one != design(2).points(count: 9, dimensions: 5))
        }
    }

    @Test("Starts lie in the box in the session's precision, at its edges too")
    func box() {
        let box = SamplingBox(lower: [0.1, -1, 5], upper: [0.1000000001, 1e30, 5])
        for dtype in DType.allCases {
            for u in [0, 0.5, 1 - 0x1p-53] {
                let x = box.place([u, u, u], as: dtype)
                for index in 0..<3 where !(dtype == .float32 && index == 0) {
                    #expect(x[index] >= box.lower(index) && x[index] <= box.upper(index))
                }
                if dtype == .float32 { #expect(x == x.map { Double(Float($0)) }) }
            }
        }
        #expect(box.place([0, 0, 0], as: .float64) == [0.1, -1, 5])
    }
}
