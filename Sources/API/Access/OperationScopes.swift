/// The scope that each operation needs, by its `operationId`. `x-lbfgsd-scope` says the same in
/// openapi.yaml.
public let operationScopes: [String: Scope] = [
    "createSession": .write, "listSessions": .read, "getSession": .read, "updateSession": .write,
    "deleteSession": .delete, "purgeSessions": .delete, "updateCheckpoint": .write,
    "exportSession": .read, "importSession": .write,
    "beginStep": .write, "getStep": .read, "stopStep": .write,
    "getTurn": .read, "tellResult": .write, "tellShard": .write, "leaseShard": .write,
    "zeroGrad": .write, "evaluateBatch": .write,
    "getParameters": .read, "setParameters": .write,
    "getBounds": .read, "setBounds": .write, "getActiveSet": .read,
    "getStateDict": .read, "loadStateDict": .write,
    "addParamGroup": .write, "listParamGroups": .read, "getParamGroup": .read,
    "updateParamGroup": .write,
    "registerHook": .write, "listHooks": .read, "getHook": .read, "removeHook": .delete,
    "answerHookCall": .write, "listDeliveries": .read, "redeliver": .write,
    "createCheckpoint": .write, "listCheckpoints": .read, "getCheckpoint": .read,
    "deleteCheckpoint": .delete, "getCheckpointStateDict": .read, "restoreCheckpoint": .write,
    "forkCheckpoint": .write,
    "getTrace": .read, "streamEvents": .read, "streamAllEvents": .read,
    "createEnsemble": .write, "listEnsembles": .read, "getEnsemble": .read,
    "deleteEnsemble": .delete, "listMembers": .read, "askEnsemble": .write,
    "tellEnsemble": .write, "stopEnsemble": .write, "getEnsembleTrace": .read,
    "streamEnsembleEvents": .read,
    "getLimits": .read,
    "getMetrics": .admin,
    "getReplication": .admin, "beginReplicationBase": .admin, "takeReplicationChanges": .admin,
    "getReplicationFile": .admin, "fenceReplication": .admin,
]

/// Operations without a token: those of supervisors, which have none, and the API's description,
/// which says how to send one, with the pages of its problems, and the files of the page. None of
/// them shows anything of a session.
public let openOperations: Set = [
    "getLiveness", "getReadiness", "getOpenAPIDocument", "getDocumentation",
    "getProblemType", "getIndex", "getPage", "getPageInFolder", "getPageFile",
]
