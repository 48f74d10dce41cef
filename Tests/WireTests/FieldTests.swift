import SessionModel
import Testing
import Wire

@Suite("A wrong field is named by its path")
struct FieldPathTests {
    @Test(
        "in a creation",
        arguments: [
            ("{}", "params"), ("[]", "body"), ("null", "body"), ("\"x0\"", "body"),
            ("{\"x0\": [1], \"params\": []}", "x0"), ("{\"x0\": null}", "x0"),
            ("{\"x0\": 5}", "x0"),
            ("{\"x0\": [1, \"two\"]}", "x0[1]"), ("{\"x0\": [1, true]}", "x0[1]"),
            ("{\"x0\": [1, [2]]}", "x0[1]"), ("{\"x0\": [1, null]}", "x0[1]"),
            ("{\"x0\": [1, 2, 1e400]}", "x0[2]"), ("{\"params\": {}}", "params"),
            ("{\"params\": [\"w\"]}", "params[0]"),
            ("{\"params\": [{\"shape\": [1]}]}", "params[0].values"),
            ("{\"params\": [{\"values\": [1]}]}", "params[0].shape"),
            ("{\"params\": [{\"shape\": [1.5], \"values\": [1]}]}", "params[0].shape[0]"),
            ("{\"params\": [{\"shape\": [1, -2], \"values\": [1]}]}", "params[0].shape[1]"),
            ("{\"params\": [{\"shape\": [1], \"values\": [1, 2, 3, {}]}]}", "params[0].values[3]"),
            ("{\"params\": [{\"shape\": [1], \"value\": [1]}]}", "params[0].value"),
            ("{\"x0\": [1], \"name\": 5}", "name"),
            ("{\"x0\": [1], \"name\": \"a\\u0000\"}", "name"),
            ("{\"x0\": [1], \"labels\": [\"a\"]}", "labels"),
            ("{\"x0\": [1], \"labels\": {\"a\": 1}}", "labels.a"),
            ("{\"x0\": [1], \"dtype\": \"float16\"}", "dtype"),
            ("{\"x0\": [1], \"dtype\": null}", "dtype"),
            ("{\"x0\": [1], \"options\": null}", "options"),
            ("{\"x0\": [1], \"options\": {\"lr\": true}}", "options.lr"),
            ("{\"x0\": [1], \"options\": {\"lr\": null}}", "options.lr"),
            ("{\"x0\": [1], \"options\": {\"max_iter\": 1.5}}", "options.max_iter"),
            ("{\"x0\": [1], \"options\": {\"max_iter\": 1e30}}", "options.max_iter"),
            ("{\"x0\": [1], \"options\": {\"max_iter\": 9223372036854775808}}", "options.max_iter"),
            ("{\"x0\": [1], \"options\": {\"max_iter\": \"20\"}}", "options.max_iter"),
            ("{\"x0\": [1], \"options\": {\"line_search_fn\": 1}}", "options.line_search_fn"),
            ("{\"x0\": [1], \"options\": {\"mode\": \"magic\"}}", "options.mode"),
        ])
    func creation(json: String, field: String) {
        #expect(complaints(json, { try CreateRequest(json: $0) })?.map(\.field) == [field])
    }

    @Test(
        "in a result",
        arguments: [
            ("{}", "loss"), ("{\"loss\": 1}", "gradient"), ("{\"gradient\": [1]}", "loss"),
            ("{\"loss\": null, \"gradient\": [1]}", "loss"),
            ("{\"loss\": \"nan\", \"gradient\": [1]}", "loss"),
            ("{\"loss\": 1, \"gradient\": [1], \"gradients\": {}}", "gradients"),
            ("{\"loss\": 1, \"gradient\": [1, \"inf\"]}", "gradient[1]"),
            ("{\"loss\": 1, \"gradients\": {\"w\": [1, false]}}", "gradients.w[1]"),
            ("{\"failed\": \"no\", \"loss\": 1}", "loss"), ("{\"failed\": true}", "failed"),
        ])
    func result(json: String, field: String) {
        #expect(complaints(json, { try TellRequest(json: $0) })?.map(\.field) == [field])
    }

    @Test(
        "in parameters",
        arguments: [
            ("{\"x\": [1], \"params\": []}", "x"), ("{}", "params"),
            ("{\"params\": [{\"values\": [1]}, {\"name\": \"0\", \"values\": [1]}]}", "params[1]"),
            ("{\"params\": [{\"values\": 1}]}", "params[0].values"),
        ])
    func parameters(json: String, field: String) {
        #expect(complaints(json, { try ParametersDocument(json: $0) })?.map(\.field) == [field])
    }

    @Test(
        "in a state dict",
        arguments: [
            ("{\"param_groups\": []}", "state"),
            ("{\"state\": {}}", "param_groups"),
            ("{\"state\": {}, \"param_groups\": []}", "param_groups"),
            ("{\"state\": {\"1\": {}}, \"param_groups\": [{\"params\": [0]}]}", "state.1"),
            (
                "{\"state\": {\"0\": {\"n_iter\": 1}}, \"param_groups\": [{\"params\": [0]}]}",
                "state.0.func_evals"
            ),
            (
                "{\"state\": {\"0\": {\"n_iter\": 1, \"func_evals\": 1, \"old_dirs\": [[1], [\"x\"]]}},"
                    + " \"param_groups\": [{\"params\": [0]}]}", "state.0.old_dirs[1][0]"
            ),
            (
                "{\"state\": {}, \"param_groups\": [{\"params\": [0], \"momentum\": 1}]}",
                "param_groups[0].momentum"
            ),
            (
                "{\"state\": {}, \"param_groups\": [{\"params\": [0], \"lr\": [1, 2]}]}",
                "param_groups[0].lr"
            ),
            (
                "{\"state\": {}, \"param_groups\": [{\"params\": [0.5]}]}",
                "param_groups[0].params[0]"
            ),
        ])
    func stateDict(json: String, field: String) {
        #expect(complaints(json, { try StateDict(json: $0) })?.map(\.field) == [field])
    }

    @Test("and the name that was probably meant is suggested")
    func suggestion() {
        let errors = complaints(
            "{\"x0\": [1], \"options\": {\"maxIter\": 1, \"leaning\": 2, \"histroy_size\": 3}}",
            { try CreateRequest(json: $0) })
        #expect(
            errors == [
                FieldError(
                    field: "options.histroy_size",
                    reason: "is not known; did you mean history_size?"),
                FieldError(field: "options.leaning", reason: "is not known"),
                FieldError(
                    field: "options.maxIter", reason: "is not known; did you mean max_iter?"),
            ])
    }

    @Test("with what it is and what it must be")
    func reasons() {
        let reasons = ["\"two\"", "null", "true", "1e400"].map {
            complaints("{\"x0\": [1, \($0)]}", { try CreateRequest(json: $0) })?.first?.reason
        }
        let number = "must be a number (or the string \"NaN\", \"Infinity\" or \"-Infinity\"), not "
        #expect(
            reasons == [
                number + "a string", number + "null", number + "a boolean",
                "is too large for a Float64",
            ])
    }
}

@Suite("A parameter that is filled")
struct FillTests {
    private func create(_ parameter: String) -> String { "{\"params\": [\(parameter)]}" }

    @Test("has one number instead of a list, and its shape")
    func filled() throws {
        let parameter = "{\"name\": \"w\", \"shape\": [4, 5], \"fill\": -0.5}"
        let input = ParameterInput(name: "w", shape: [4, 5], values: .fill(-0.5))
        #expect(try CreateRequest(json: utf8(create(parameter))).parameters == [input])
        #expect(try GroupRequest(json: utf8(create(parameter))).parameters == [input])
    }

    @Test(
        "has no list beside it",
        arguments: [
            (
                "{\"shape\": [1], \"values\": [1], \"fill\": 1}",
                "params[0].fill says the same as values: give one of the two"
            ),
            ("{\"shape\": [1]}", "params[0].values is required"),
            (
                "{\"shape\": [1], \"fill\": null}",
                "params[0].fill must be a number (or the string \"NaN\", \"Infinity\" or "
                    + "\"-Infinity\"), not null"
            ),
            (
                "{\"shape\": [1], \"fill\": 1e999}", "params[0].fill is too large for a Float64"
            ),
        ])
    func refused(parameter: String, expected: String) {
        let json = create(parameter)
        for found in [
            complaints(json) { try CreateRequest(json: $0) },
            complaints(json) { try GroupRequest(json: $0) },
        ] {
            #expect(found?.map { "\($0.field) \($0.reason)" } == [expected])
        }
    }
}

@Suite("What may be left out")
struct OptionalFieldTests {
    @Test("is nil")
    func absent() throws {
        let request = try CreateRequest(json: utf8("{\"x0\": [1, 2]}"))
        #expect(request.name == nil && request.labels == [:] && request.dtype == .float64)
        #expect(request.options == OptionsPatch() && request.isShortForm)
        #expect(request.parameters == [ParameterInput(name: nil, shape: [2], values: [1, 2])])
    }

    @Test("may be null where that means the same")
    func nullAtCreation() throws {
        let json =
            "{\"x0\": [1], \"name\": null, \"labels\": null, \"options\": {\"max_eval\": null}}"
        let request = try CreateRequest(json: utf8(json))
        #expect(request.name == nil && request.labels == [:])
        #expect(request.options == OptionsPatch())
    }

    @Test("is told from null in a change")
    func nullInChange() throws {
        #expect(try UpdateRequest(json: utf8("{}")) == UpdateRequest())
        let update = try UpdateRequest(
            json: utf8(
                "{\"name\": null, \"labels\": null, \"options\": {\"line_search_fn\": null}}"))
        #expect(update.name == .some(nil) && update.labels == [:])
        #expect(update.options?.lineSearch == .some(nil))
        #expect(
            complaints("{\"options\": {\"max_eval\": null}}", { try UpdateRequest(json: $0) })?.map(
                \.field)
                == ["options.max_eval"])
    }

    @Test("is the whole body where nothing need be said")
    func wholeBody() throws {
        for body in ["", "{}", " { } "] {
            try NoFields.check(json: utf8(body))
            #expect(try CheckpointRequest(json: utf8(body)).name == nil)
            #expect(try ForkRequest(json: utf8(body)).labels == nil)
        }
        #expect(
            complaints("{\"a\": 1}") { try NoFields.check(json: $0) }?.map(\.field) == ["a"])
    }
}
