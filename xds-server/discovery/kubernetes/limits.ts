/** Bounds of the Kubernetes source, besides those of the talk with its API server (xds-server/kubernetes/limits.ts). */

/** EndpointSlices per page of a list: one has up to 1,000 endpoints, some 300 kB. */
export const SLICES_PER_PAGE = 100;
/** Endpoints of one slice that are read: as many as the API server lets in. */
export const MAX_ENDPOINTS_PER_SLICE = 1_000;
/** Endpoints that count as one object against the bound on what is kept of a collection (xds-server/kubernetes/limits.ts). */
export const ENDPOINTS_PER_OBJECT = 10;
/** Labels and annotations of one object that are kept. */
export const MAX_METADATA = 128;
/** Characters of a label or annotation that is kept; longer ones are whole documents, such as what kubectl applied. */
export const MAX_METADATA_VALUE = 512;
/** Ports of a Service or slice. */
export const MAX_PORTS = 100;
