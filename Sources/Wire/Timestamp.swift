internal import struct Foundation.Date

/// RFC 3339 in UTC, to the microsecond: `2026-03-01T09:30:00.123456Z`. The length is fixed, so that
/// the text sorts by time.
func timestamp(_ date: Date) -> String {
    let microseconds = Int((date.timeIntervalSince1970 * 1e6).rounded())
    let (seconds, fraction) = floorDivided(microseconds, by: 1_000_000)
    let (days, second) = floorDivided(seconds, by: 86_400)
    let (year, month, day) = civil(daysSince1970: days)
    return digits(year, 4) + "-" + digits(month, 2) + "-" + digits(day, 2)
        + "T" + digits(second / 3600, 2) + ":" + digits(second / 60 % 60, 2)
        + ":" + digits(second % 60, 2) + "." + digits(fraction, 6) + "Z"
}

/// The proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March, so that
/// the leap day comes last (Howard Hinnant, "chrono-compatible low-level date algorithms", 2013).
/// Foundation's calendar gives the same at a hundred times the cost, which a long trace would feel.
private func civil(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
    let (era, dayOfEra) = floorDivided(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

private func floorDivided(_ value: Int, by divisor: Int) -> (quotient: Int, remainder: Int) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}

private func digits(_ value: Int, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.count)) + text
}
