public import SessionModel

extension [TracePoint] {
    /// RFC 4180, with a header. A failed evaluation's loss and gradient are empty; non-finite
    /// numbers are spelled as in JSON.
    public var csv: [UInt8] {
        var text = "evaluation,step,iteration,loss,gradient_norm_inf,step_length,time\r\n"
        for point in self {
            text += "\(point.evaluation),\(point.step),\(point.iteration),"
            text += "\(cell(point.loss)),\(cell(point.gradientNormInf)),"
            text += "\(cell(point.stepLength)),\(timestamp(point.time))\r\n"
        }
        return [UInt8](text.utf8)
    }
}

/// No number, name or time here has a comma or a quote, so nothing needs quoting.
private func cell(_ value: Double?) -> String {
    value.map { NonFinite.text(of: $0) ?? $0.description } ?? ""
}
