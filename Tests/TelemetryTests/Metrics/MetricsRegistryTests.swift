import Telemetry
import Testing

@Suite struct MetricsRegistryTests {
    private let registry = MetricsRegistry()

    /// The lines of one family, with its HELP and TYPE.
    private func lines(of family: String) -> [String] {
        registry.render().split(separator: "\n").map(String.init).filter { line in
            let name = line.hasPrefix("# ") ? line.split(separator: " ")[2] : line[...]
            return name.hasPrefix(family)
        }
    }

    @Test func aCounterCountsAndAGaugeRisesAndFalls() {
        let told = registry.counter("told_total", help: "Told.")
        told.increment()
        told.increment(by: 41)
        let open = registry.gauge("open_sessions", help: "Open.")
        open.set(2.5)
        open.add(-3)
        #expect(
            lines(of: "told") == [
                "# HELP told_total Told.", "# TYPE told_total counter", "told_total 42",
            ])
        #expect(lines(of: "open").last == "open_sessions -0.5")
    }

    @Test func theSameNameAndLabelsAreTheSameInstrumentInWhateverOrder() {
        let one = registry.counter("c_total", help: "C.", labels: [("a", "1"), ("b", "2")])
        let same = registry.counter("c_total", help: "C.", labels: [("b", "2"), ("a", "1")])
        let other = registry.counter("c_total", help: "C.", labels: [("a", "2"), ("b", "2")])
        #expect(one === same)
        #expect(one !== other)
        one.increment()
        #expect(
            lines(of: "c_total") == [
                "# HELP c_total C.", "# TYPE c_total counter", #"c_total{a="1",b="2"} 1"#,
                #"c_total{a="2",b="2"} 0"#,
            ])
    }

    @Test func aHistogramIsCumulativeWithInclusiveBounds() {
        let seconds = registry.histogram(
            "s", help: "S.", labels: [("r", "x")], buckets: [0.25, 0.5, 1])
        for value in [0.25, 0.3, 0.5, 1, 7, -1] { seconds.observe(value) }
        #expect(
            lines(of: "s").dropFirst(2) == [
                #"s_bucket{r="x",le="0.25"} 2"#, #"s_bucket{r="x",le="0.5"} 4"#,
                #"s_bucket{r="x",le="1"} 5"#, #"s_bucket{r="x",le="+Inf"} 6"#,
                #"s_sum{r="x"} 8.05"#, #"s_count{r="x"} 6"#,
            ])
    }

    @Test func aHistogramShowsWhatIsNoNumber() {
        let sizes = registry.histogram("n", help: "N.", buckets: [1])
        sizes.observe(.nan)
        #expect(
            lines(of: "n").dropFirst(2) == [
                #"n_bucket{le="1"} 0"#, #"n_bucket{le="+Inf"} 1"#, "n_sum NaN", "n_count 1",
            ])
    }

    @Test(arguments: [
        (1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1e-7, "1e-07"), (1e300, "1e+300"),
        (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ])
    func numbersAreWrittenAsScrapersReadThem(value: Double, text: String) {
        registry.gauge("v", help: "V.").set(value)
        #expect(lines(of: "v").last == "v \(text)")
    }

    @Test func helpAndLabelsAreEscaped() {
        _ = registry.counter(
            "e_total", help: "back\\slash\nline \"quoted\"",
            labels: [("l", "back\\slash\nline \"quoted\"")])
        #expect(
            lines(of: "e_total") == [
                #"# HELP e_total back\\slash\nline "quoted""#, "# TYPE e_total counter",
                #"e_total{l="back\\slash\nline \"quoted\""} 0"#,
            ])
    }

    @Test func collectorsRunBeforeEachRendering() {
        let gauge = registry.gauge("g", help: "G.")
        registry.onRender { gauge.add(1) }
        #expect(lines(of: "g").last == "g 1")
        #expect(lines(of: "g").last == "g 2")
    }

    @Test func aReadingIsLeftOutWhileThereIsNone() {
        registry.gauge("absent", help: "A.", reading: { nil })
        registry.counter("present_total", help: "P.", reading: { 3 })
        #expect(lines(of: "absent") == ["# HELP absent A.", "# TYPE absent gauge"])
        #expect(lines(of: "present").last == "present_total 3")
    }

    @Test func familiesAreInOrderOfNameAndEndWithALineFeed() {
        _ = registry.counter("b_total", help: "B.")
        _ = registry.counter("a_total", help: "A.")
        let text = registry.render()
        #expect(text.hasSuffix("\n"))
        let types = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
        #expect(types == types.sorted())
        #expect(Set(types).count == types.count)
    }

    @Test func theProcessIsAmongTheMetrics() {
        for name in [
            "process_resident_memory_bytes", "process_virtual_memory_bytes",
            "process_cpu_seconds_total", "process_threads", "process_start_time_seconds",
            "process_open_fds", "process_max_fds",
        ] {
            let value = lines(of: name).last?.split(separator: " ").last.flatMap { Double($0) }
            #expect((value ?? 0) > 0, "\(name)")
        }
    }

    @Test func nothingIsLostWhenManyCountAtOnce() async {
        let counter = registry.counter("many_total", help: "M.")
        let gauge = registry.gauge("many", help: "M.")
        let histogram = registry.histogram("many_seconds", help: "M.", buckets: [1])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.increment()
                        gauge.add(1)
                        histogram.observe(0.5)
                    }
                }
            }
        }
        #expect(counter.value == 80_000)
        #expect(gauge.value == 80_000)
        #expect(lines(of: "many_seconds_count").last == "many_seconds_count 80000")
    }
}
