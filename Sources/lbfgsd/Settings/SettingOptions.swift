internal import ArgumentParser

/// The table as options of a command, in the help's groups.
struct SettingOptions: ParsableArguments {
    @OptionGroup(title: Setting.Section.access.rawValue)
    private var access: SectionOptions<InAccess>
    @OptionGroup(title: Setting.Section.tenants.rawValue)
    private var tenants: SectionOptions<InTenants>
    @OptionGroup(title: Setting.Section.storage.rawValue)
    private var storage: SectionOptions<InStorage>
    @OptionGroup(title: Setting.Section.replication.rawValue)
    private var replication: SectionOptions<InReplication>
    @OptionGroup(title: Setting.Section.connections.rawValue)
    private var connections: SectionOptions<InConnections>
    @OptionGroup(title: Setting.Section.sessions.rawValue)
    private var sessions: SectionOptions<InSessions>
    @OptionGroup(title: Setting.Section.hooks.rawValue)
    private var hooks: SectionOptions<InHooks>
    @OptionGroup(title: Setting.Section.operation.rawValue)
    private var operation: SectionOptions<InOperation>

    /// What was given, by the setting's name.
    var given: [String: String] {
        let parts = [
            access.given, tenants.given, storage.given, replication.given, connections.given,
            sessions.given, hooks.given, operation.given,
        ]
        return parts.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }
}

/// The options of one section, made from its rows rather than declared one by one.
///
/// ArgumentParser learns a type's options by reflection and fills it by decoding. So the mirror
/// shows an `Option` for each row, as if it were a stored property, and decoding asks for each by
/// name.
private struct SectionOptions<Marker: SectionMarker>: ParsableArguments, CustomReflectable {
    var given: [String: String] = [:]

    private static var rows: [Setting] { Setting.all.filter { $0.section == Marker.section } }

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for row in SectionOptions.rows {
            let option = try container.decode(Option<String?>.self, forKey: Key(row.key))
            given[row.key] = option.wrappedValue
        }
    }

    var customMirror: Mirror {
        let options = SectionOptions.rows.map { row in
            (label: row.key as String?, value: SectionOptions.option(for: row) as Any)
        }
        return Mirror(self, children: options)
    }

    private static func option(for row: Setting) -> Option<String?> {
        let usual = row.shown(in: Settings())
        let note = usual.isEmpty ? "" : " (default: \(usual))"
        return Option(
            name: .customLong(row.key),
            help: ArgumentHelp(
                "\(row.help)\(note)", valueName: row.placeholder))
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

private protocol SectionMarker: Sendable { static var section: Setting.Section { get } }
private enum InAccess: SectionMarker { static let section = Setting.Section.access }
private enum InTenants: SectionMarker { static let section = Setting.Section.tenants }
private enum InStorage: SectionMarker { static let section = Setting.Section.storage }
private enum InReplication: SectionMarker { static let section = Setting.Section.replication }
private enum InConnections: SectionMarker { static let section = Setting.Section.connections }
private enum InSessions: SectionMarker { static let section = Setting.Section.sessions }
private enum InHooks: SectionMarker { static let section = Setting.Section.hooks }
private enum InOperation: SectionMarker { static let section = Setting.Section.operation }
