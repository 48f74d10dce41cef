import Foundation
import Webhooks

let webhookBody = Array(#"{"test": 2432232314}"#.utf8)

func makeSender(
    _ receiver: Receiver, hosts: [String]? = nil, networks: [String] = ["127.0.0.1"],
    configure: (inout WebhookSender.Configuration) -> Void = { _ in }
) throws -> WebhookSender {
    var configuration = WebhookSender.Configuration(
        targets: try WebhookTargetPolicy(
            hosts: hosts ?? ["http://127.0.0.1:\(receiver.port)"], networks: networks),
        userAgent: "lbfgsd/1.2.3")
    configuration.nowSeconds = { 1_614_265_330 }
    configure(&configuration)
    return WebhookSender(configuration: configuration)
}

func makeDelivery(_ url: String, body: [UInt8] = webhookBody) throws -> WebhookDelivery {
    WebhookDelivery(
        url: url, id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: body,
        secrets: [try WebhookSecret(text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
}

/// Sends one webhook to `/hook` of the receiver.
func sendOne(
    _ receiver: Receiver, hosts: [String]? = nil, networks: [String] = ["127.0.0.1"],
    host: String = "127.0.0.1",
    configure: (inout WebhookSender.Configuration) -> Void = { _ in }
) async throws -> WebhookOutcome {
    defer { receiver.stop() }
    let sender = try makeSender(receiver, hosts: hosts, networks: networks, configure: configure)
    return await sender.send(try makeDelivery("http://\(host):\(receiver.port)/hook"))
}

func isTransportFailure(_ outcome: WebhookOutcome) -> Bool {
    if case .failed(.transport(let reason)) = outcome { !reason.isEmpty } else { false }
}
