/// A precision of vectors: `Double` or `Float`. Programs do not conform types of their own to it.
///
/// The operations on vectors are requirements of the protocol, so that they are compiled for each
/// precision and generic code calls each once a pass. All of them compute in Float64 and round
/// once, when they store. All take O(n), and require arguments of equal counts.
public protocol EngineScalar: BinaryFloatingPoint, SIMDScalar, BitwiseCopyable, Codable,
    Sendable
{
    /// Eight numbers as Float64.
    static func widened(_ lanes: SIMD8<Self>) -> SIMD8<Double>
    /// Eight Float64 numbers, each rounded to this precision.
    static func narrowed(_ lanes: SIMD8<Double>) -> SIMD8<Self>

    /// The dot product a.b.
    static func dot(_ a: [Self], _ b: [Self]) -> Double
    /// ||v||_inf = max |v_i|; NaN if a number is NaN.
    static func normInf(_ v: [Self]) -> Double
    /// ||v||_1 = sum |v_i|.
    static func norm1(_ v: [Self]) -> Double
    /// Whether all numbers are finite.
    static func isFinite(_ v: [Self]) -> Bool
    /// a - b.
    static func difference(_ a: [Self], _ b: [Self]) -> [Self]
    /// c v.
    static func scaled(_ v: [Self], by c: Double) -> [Self]
    /// x + t d.
    static func moved(_ x: [Self], along d: [Self], by t: Double) -> [Self]
    /// The precision in which pairs are stored unless the options ask for another: this one.
    static var historyDType: HistoryDType { get }
}

extension Double: EngineScalar {
    public static var historyDType: HistoryDType { .float64 }
    @inline(__always)
    public static func widened(_ lanes: SIMD8<Double>) -> SIMD8<Double> { lanes }
    @inline(__always)
    public static func narrowed(_ lanes: SIMD8<Double>) -> SIMD8<Double> { lanes }
    public static func dot(_ a: [Double], _ b: [Double]) -> Double { dotKernel(a, b) }
    public static func normInf(_ v: [Double]) -> Double { normInfKernel(v) }
    public static func norm1(_ v: [Double]) -> Double { norm1Kernel(v) }
    public static func isFinite(_ v: [Double]) -> Bool { isFiniteKernel(v) }
    public static func difference(_ a: [Double], _ b: [Double]) -> [Double] {
        differenceKernel(a, b)
    }
    public static func scaled(_ v: [Double], by c: Double) -> [Double] { scaledKernel(v, c) }
    public static func moved(_ x: [Double], along d: [Double], by t: Double) -> [Double] {
        movedKernel(x, d, t)
    }
}

extension Float: EngineScalar {
    public static var historyDType: HistoryDType { .float32 }
    @inline(__always)
    public static func widened(_ lanes: SIMD8<Float>) -> SIMD8<Double> {
        // By halves, because the conversion of eight numbers would be a function call.
        SIMD8(lowHalf: SIMD4<Double>(lanes.lowHalf), highHalf: SIMD4<Double>(lanes.highHalf))
    }
    @inline(__always)
    public static func narrowed(_ lanes: SIMD8<Double>) -> SIMD8<Float> {
        SIMD8(lowHalf: SIMD4<Float>(lanes.lowHalf), highHalf: SIMD4<Float>(lanes.highHalf))
    }
    public static func dot(_ a: [Float], _ b: [Float]) -> Double { dotKernel(a, b) }
    public static func normInf(_ v: [Float]) -> Double { normInfKernel(v) }
    public static func norm1(_ v: [Float]) -> Double { norm1Kernel(v) }
    public static func isFinite(_ v: [Float]) -> Bool { isFiniteKernel(v) }
    public static func difference(_ a: [Float], _ b: [Float]) -> [Float] {
        differenceKernel(a, b)
    }
    public static func scaled(_ v: [Float], by c: Double) -> [Float] { scaledKernel(v, c) }
    public static func moved(_ x: [Float], along d: [Float], by t: Double) -> [Float] {
        movedKernel(x, d, t)
    }
}

// MARK: - Kernels, written once and compiled for each precision

@inline(__always)
private func dotKernel<Scalar: EngineScalar>(_ a: [Scalar], _ b: [Scalar]) -> Double {
    blockedSum(a, b) { $0 * $1 }
}

@inline(__always)
private func norm1Kernel<Scalar: EngineScalar>(_ v: [Scalar]) -> Double {
    blockedSum(v, v) { lanes, _ in absolute(lanes) }
}

/// v - v is 0 for a finite number and NaN for any other.
@inline(__always)
private func isFiniteKernel<Scalar: EngineScalar>(_ v: [Scalar]) -> Bool {
    blockedSum(v, v) { lanes, _ in lanes - lanes } == 0
}

@inline(__always)
private func normInfKernel<Scalar: EngineScalar>(_ v: [Scalar]) -> Double {
    guard isFiniteKernel(v) else { return v.contains(where: \.isNaN) ? .nan : .infinity }
    var largest = Lanes.zero
    // Sound: every index stays under the buffer's count.
    unsafe v.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        var offset = 0
        while offset + 8 <= buffer.count {
            unsafe largest = pointwiseMax(largest, absolute(lanes(base, offset)))
            offset += 8
        }
        unsafe largest = pointwiseMax(
            largest, absolute(tailLanes(base, offset, buffer.count - offset)))
    }
    return largest.max()
}

@inline(__always)
private func differenceKernel<Scalar: EngineScalar>(_ a: [Scalar], _ b: [Scalar]) -> [Scalar] {
    mapped(a, b) { $0 - $1 }
}

@inline(__always)
private func scaledKernel<Scalar: EngineScalar>(_ v: [Scalar], _ c: Double) -> [Scalar] {
    mapped(v, v) { lanes, _ in lanes * c }
}

@inline(__always)
private func movedKernel<Scalar: EngineScalar>(
    _ x: [Scalar], _ d: [Scalar], _ t: Double
) -> [Scalar] {
    mapped(x, d) { $0 + $1 * t }
}
