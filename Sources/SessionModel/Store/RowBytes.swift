/// About what a store's rows take on the disk beside payloads and vectors, with their indexes. By
/// what lbfgsd.sqlite grew by with 10,000 evaluations told (162 each), 4,000 steps (122) and 900
/// checkpoints (73); a session has a row, labels, a snapshot's row and its list of vectors.
public enum RowBytes {
    public static let session = 1024
    public static let entry = 160
    public static let step = 120
    public static let checkpoint = 75
}
