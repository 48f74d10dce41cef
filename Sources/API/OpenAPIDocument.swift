internal import COpenAPI

/// The top-level openapi.yaml, compiled in: what is served is what is documented.
let openAPIDocument: [UInt8] = {
    // Sound: a constant of that size.
    let bytes = unsafe UnsafeBufferPointer(
        start: copenapi_document(), count: copenapi_document_size())
    return unsafe Array(bytes)
}()
