/// What a tenant may use; nil: as much as the server has.
public struct TenantQuota: Equatable, Sendable {
    public var sessionsMax: Int?
    /// Bytes on disk, as `Store.diskBytes` counts them.
    public var diskBytesMax: Int?
    /// Bytes that the tenant's sessions in memory may need together.
    public var memoryBytesMax: Int?
    public var requestsInFlightMax: Int?

    public init(
        sessionsMax: Int? = nil, diskBytesMax: Int? = nil, memoryBytesMax: Int? = nil,
        requestsInFlightMax: Int? = nil
    ) {
        self.sessionsMax = sessionsMax
        self.diskBytesMax = diskBytesMax
        self.memoryBytesMax = memoryBytesMax
        self.requestsInFlightMax = requestsInFlightMax
    }

    /// These quotas, and those of `others` where there are none.
    public func filled(from others: TenantQuota) -> TenantQuota {
        TenantQuota(
            sessionsMax: sessionsMax ?? others.sessionsMax,
            diskBytesMax: diskBytesMax ?? others.diskBytesMax,
            memoryBytesMax: memoryBytesMax ?? others.memoryBytesMax,
            requestsInFlightMax: requestsInFlightMax ?? others.requestsInFlightMax)
    }
}

/// What a tenant uses, beside what it may.
public struct TenantUsage: Equatable, Sendable {
    public var tenant: String
    public var quota: TenantQuota
    public var sessions: Int
    /// nil if it is not counted, because the tenant has no quota of bytes on disk.
    public var diskBytes: Int?
    public var memoryBytes: Int
    public var requestsInFlight: Int

    public init(
        tenant: String, quota: TenantQuota, sessions: Int, diskBytes: Int?, memoryBytes: Int,
        requestsInFlight: Int
    ) {
        self.tenant = tenant
        self.quota = quota
        self.sessions = sessions
        self.diskBytes = diskBytes
        self.memoryBytes = memoryBytes
        self.requestsInFlight = requestsInFlight
    }
}
