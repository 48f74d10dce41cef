import Testing
import Webhooks

private func error(_ targets: WebhookTargetPolicy, _ url: String) -> WebhookTargetError? {
    do throws(WebhookTargetError) {
        try targets.check(url: url)
        return nil
    } catch {
        return error
    }
}

@Suite("Webhook target policy")
struct WebhookTargetPolicyTests {
    @Test("without hosts nothing is allowed")
    func off() throws {
        #expect(!WebhookTargetPolicy.none.isEnabled)
        #expect(error(.none, "https://example.com/") == .disabled)
        #expect(error(.none, "nonsense") == .disabled)
    }

    @Test(
        "which hosts a pattern allows",
        arguments: [
            (
                "example.com",
                ["https://example.com/", "https://EXAMPLE.com:443?x", "HTTPS://example.com"],
                [
                    "http://example.com/", "https://example.com:8443/", "https://a.example.com/",
                    "https://example.com.evil.org/", "https://example.org/",
                ]
            ),
            (
                "https://Example.com:8443", ["https://example.com:8443/a"],
                ["https://example.com/", "http://example.com:8443/"]
            ),
            (
                "*.example.com", ["https://a.example.com/", "https://b.a.example.com/"],
                [
                    "https://example.com/", "https://badexample.com/", "http://a.example.com/",
                    "https://a.example.com:444/", "https://a.example.com.evil.org/",
                ]
            ),
            ("*.example.com:444", ["https://a.example.com:444/"], ["https://a.example.com/"]),
            (
                "http://example.com", ["http://example.com/", "http://example.com:80/"],
                ["https://example.com/", "http://a.example.com/", "http://example.com:8080/"]
            ),
            ("http://example.com:8080", ["http://example.com:8080/"], ["http://example.com/"]),
            ("8.8.8.8", ["https://8.8.8.8/"], ["https://8.8.4.4/", "https://a.8.8.8.8.com/"]),
            ("[2606:4700::1111]", ["https://[2606:4700:0:0::1111]/"], ["https://[2606:4700::1]/"]),
        ])
    func hosts(pattern: String, allowed: [String], refused: [String]) throws {
        let targets = try WebhookTargetPolicy(hosts: ["first.example.net", pattern])
        for url in allowed { #expect(error(targets, url) == nil, "\(url)") }
        for url in refused {
            guard case .hostNotAllowed = error(targets, url) else {
                Issue.record("\(url): \(String(describing: error(targets, url)))")
                continue
            }
        }
    }

    @Test(
        "invalid host patterns are rejected",
        arguments: [
            "", "*", "*.", "*example.com", "a.*.com", "http://*.example.com", "ftp://example.com",
            "example.com/", "example.com/path", "user@example.com", "example.com:0",
            "example.com:65536", "example.com:", "example.com:x", "*.10.0.0.1", "[::1", "::1",
            "exa mple.com", "-a.com", "a..com", "127.1", "0x7f.0.0.1", "010.0.0.1", "256.0.0.1",
        ])
    func badPatterns(text: String) {
        #expect(throws: WebhookPolicyError.host(text)) { try WebhookTargetPolicy(hosts: [text]) }
    }

    @Test(
        "invalid networks are rejected",
        arguments: [
            "", "10.0.0.0/33", "10.1.2.3/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8", "x",
            "fe80::/129", "fe80::1/64", "::ffff:10.0.0.0/90", "10.0.0.0/8/8", "10.0.0.0/+8",
        ])
    func badNetworks(text: String) {
        #expect(throws: WebhookPolicyError.network(text)) {
            try WebhookTargetPolicy(hosts: [], networks: [text])
        }
    }

    @Test("an address in a URL must be allowed as a host and by its network")
    func addresses() throws {
        let hosts = ["http://10.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
        let closed = try WebhookTargetPolicy(hosts: hosts)
        #expect(
            error(closed, "http://10.0.0.1/")
                == .addressNotAllowed(address: "10.0.0.1", range: "private"))
        #expect(
            error(closed, "https://[::1]/") == .addressNotAllowed(address: "::1", range: "loopback")
        )
        let open = try WebhookTargetPolicy(
            hosts: hosts, networks: ["10.0.0.0/24", "127.0.0.1", "::1"])
        #expect(error(open, "http://10.0.0.1/") == nil)
        #expect(error(open, "https://[::1]/") == nil)
        #expect(error(open, "https://[::ffff:7f00:1]/") == nil)
        guard case .hostNotAllowed = error(open, "http://10.0.0.2/") else {
            Issue.record("an allowed network is not an allowed host")
            return
        }
    }

    @Test("an error says what to do and contains no secret of the URL")
    func reasons() throws {
        let targets = try WebhookTargetPolicy(hosts: ["example.com"])
        let reasons = [
            "https://example.org/s3cret?s3cret", "https://u:s3cret@example.com/",
            "https://example.com/#s3cret", "https://exam_ple.com/s3cret", "s3cret",
        ].compactMap { error(targets, $0).map { "\($0)" } }
        #expect(reasons.count == 5 && !reasons.contains { $0.contains("s3cret") })
        #expect(
            reasons[0]
                == "the operator of this server does not allow webhooks to https://example.org:443")
        #expect(
            "\(WebhookTargetError.disabled)"
                == "webhooks are off: the operator of this server has allowed no hosts")
    }
}

@Suite("URLs")
struct WebhookURLTests {
    @Test(
        "a URL has one canonical notation",
        arguments: [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM:443/A?b=C", "https://example.com/A?b=C"),
            ("http://a-b.example:8080?q", "http://a-b.example:8080/?q"),
            ("http://1.2.3.4:80/a//b/../c", "http://1.2.3.4/a//b/../c"),
            ("https://[2001:DB8:0::1]:8443/", "https://[2001:db8::1]:8443/"),
            ("https://xn--bcher-kva.example/%C3%BC", "https://xn--bcher-kva.example/%C3%BC"),
            ("https://example.com/a:b@c", "https://example.com/a:b@c"),
        ])
    func canonical(text: String, expected: String) throws {
        #expect(try WebhookURL(text: text).text == expected)
        #expect(try WebhookURL(text: expected).text == expected)
    }

    @Test(
        "URLs that parsers read differently are rejected",
        arguments: [
            "", "example.com", "//example.com/", "https:example.com", "https:/example.com",
            "https:///path", "https://", "ftp://example.com/", "file:///etc/passwd",
            "gopher://example.com/", "javascript:alert(1)", " https://example.com/",
            "https://example.com/ ", "https://example.com/\r\nX: y", "https://example.com/\0",
            "https://example.com\\@evil.org/", "https://example.com@evil.org/",
            "https://user:pass@example.com/", "https://example.com#@evil.org/",
            "https://example.com:443:80/", "https://example.com:/", "https://example.com:99999/",
            "https://example.com:+80/", "https://example.com:0/", "https://example.com./",
            "https://.example.com/", "https://ex%61mple.com/", "https://b\u{fc}cher.example/",
            "https://\u{2460}.example/", "https://exam_ple.com/", "https://127.1/",
            "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://2130706433/",
            "https://0x7f000001/", "https://127.0.0.1./", "https://1.2.3.4.5/",
            "https://[::1/", "https://::1/", "https://[127.0.0.1]/", "https://[fe80::1%25eth0]/",
            "https://[v1.x]/", "https://[::1]evil.org/", "https://example.com/%", "https://a/%4",
            "https://example.com/%zz", "https://example.com/|",
            "https://" + String(repeating: "a", count: 64) + ".com/",
            "https://example.com/" + String(repeating: "a", count: 2048),
        ])
    func refused(text: String) {
        let error = #expect(throws: WebhookTargetError.self) { try WebhookURL(text: text) }
        guard case .malformed = error else {
            Issue.record("\(text): \(String(describing: error))")
            return
        }
    }
}

@Suite("Addresses")
struct IPAddressTests {
    @Test(
        "non-public addresses are rejected with the name of their range",
        arguments: [
            ("unspecified", ["0.0.0.0", "0.1.2.3", "::"]),
            (
                "private",
                [
                    "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255",
                    "192.168.0.0", "192.168.255.255", "::ffff:10.0.0.1", "::ffff:c0a8:1",
                ]
            ),
            ("carrier-grade NAT", ["100.64.0.0", "100.127.255.255"]),
            ("loopback", ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"]),
            (
                "link-local",
                [
                    "169.254.0.0", "169.254.169.254", "169.254.255.255", "fe80::",
                    "febf:ffff::1", "::ffff:169.254.169.254",
                ]
            ),
            (
                "documentation",
                [
                    "192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1",
                    "3fff::1",
                ]
            ),
            ("benchmarking", ["198.18.0.0", "198.19.255.255"]),
            ("multicast", ["224.0.0.1", "239.255.255.255", "ff02::1", "ffff::"]),
            (
                "reserved",
                [
                    "192.0.0.1", "240.0.0.0", "255.255.255.255", "2001:2::1", "4000::",
                    "5f00::1", "::7f00:1", "::1.2.3.4", "::ffff:0:7f00:1", "200::1", "e000::",
                ]
            ),
            ("6to4 relay", ["192.88.99.1"]),
            ("NAT64", ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"]),
            ("6to4", ["2002::1", "2002:7f00:1::"]),
            ("Teredo", ["2001::1", "2001:0:ffff::"]),
            ("unique local", ["fc00::", "fd12:3456::1", "fdff::"]),
            ("site-local", ["fec0::1"]),
            ("discard-only", ["100::1"]),
        ])
    func special(range: String, texts: [String]) throws {
        for text in texts {
            let address = try #require(IPAddress(text: text), "\(text)")
            #expect(!WebhookTargetPolicy.none.permits(address), "\(text)")
            let host = text.contains(":") ? "[\(text)]" : text
            let targets = try WebhookTargetPolicy(hosts: [host])
            #expect(
                error(targets, "https://\(host)/")
                    == .addressNotAllowed(address: "\(address)", range: range), "\(text)")
        }
    }

    @Test("public addresses are allowed, up to the bounds of the special ranges")
    func publicAddresses() throws {
        for text in [
            "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
            "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
            "172.32.0.0", "191.255.255.255", "192.167.255.255", "192.169.0.0", "198.17.255.255",
            "198.20.0.0", "223.255.255.255", "2000::1", "2001:200::1", "2001:db7:ffff::1",
            "2001:db9::", "2003::", "2606:4700::1111", "3ffe:ffff::", "::ffff:8.8.8.8",
        ] {
            let address = try #require(IPAddress(text: text), "\(text)")
            #expect(WebhookTargetPolicy.none.permits(address), "\(text)")
        }
    }

    @Test("only listed networks are allowed")
    func listed() throws {
        let targets = try WebhookTargetPolicy(
            hosts: [],
            networks: ["10.1.0.0/16", "192.168.7.7", "fd00:1::/32", "::ffff:172.16.0.0/108"])
        for text in [
            "10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "192.168.7.7", "fd00:1::9",
            "172.16.9.9", "172.31.9.9",
        ] {
            #expect(targets.permits(try #require(IPAddress(text: text))), "\(text)")
        }
        for text in ["10.0.255.255", "10.2.0.0", "192.168.7.8", "fd00:2::", "127.0.0.1", "::1"] {
            #expect(!targets.permits(try #require(IPAddress(text: text))), "\(text)")
        }
        let all = try WebhookTargetPolicy(hosts: [], networks: ["0.0.0.0/0", "::/0"])
        for text in ["127.0.0.1", "::1", "255.255.255.255", "fe80::1"] {
            #expect(all.permits(try #require(IPAddress(text: text))), "\(text)")
        }
    }

    @Test("each address has one notation")
    func notation() throws {
        #expect(IPAddress(text: "192.0.2.1")?.description == "192.0.2.1")
        #expect(IPAddress(text: "2001:DB8:0:0:0:0:0:1")?.description == "2001:db8::1")
        #expect(IPAddress(text: "::ffff:1.2.3.4")?.unwrapped == .v4(0x0102_0304))
        for text in [
            "", "1.2.3", "1.2.3.4 ", "01.2.3.4", "1.2.3.4/8", "fe80::1%lo", "x", "1::2::3",
        ] {
            #expect(IPAddress(text: text) == nil, "\(text)")
        }
    }
}
