/** gRPC over HTTP/2: one server for the xDS port and for the ledger's. */
export { splitAddress } from "./address.ts";
export { MessageReader, prefixed } from "./framing.ts";
export {
  type GrpcServer,
  type GrpcServerOptions,
  type PageMethod,
  startGrpcServer,
  type TlsOptions,
} from "./grpc-server.ts";
export { type Peer, spiffeIdOf } from "./peer.ts";
export { CallError, Status, statusName } from "./status.ts";
export type { StreamCall, StreamMethod } from "./stream-call.ts";
export type { UnaryCall, UnaryMethod } from "./unary-call.ts";
