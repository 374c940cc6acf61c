/**
 * One ADS stream: moves bytes between gRPC and a `SotwSession`. Back-pressure has two gates: the session lets at most one response per type be
 * unanswered, and nothing is written while the transport's buffer is full (`write` of grpc-js never blocks and buffers without bound).
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { type Snapshot, type SnapshotCache, TYPE_NAMES } from "../cache/index.ts";
import type { Logger } from "../log.ts";
import { SotwSession } from "../stream/index.ts";
import { decodeRequest, encodeResponse, type ReceivedRequest } from "./discovery-wire.ts";
import { FIRST_REQUEST_TIMEOUT_MS, MAX_NODE_ID_LENGTH } from "./limits.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { ConnectedStream, StreamRegistry } from "./stream-registry.ts";

/** Requests and responses stay bytes: the service definition passes Buffers through. */
export type AdsCall = ServerDuplexStream<Buffer, Buffer>;

export interface StreamContext {
  readonly cache: SnapshotCache;
  readonly registry: StreamRegistry;
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  /** `control_plane.identifier` of every response. */
  readonly identifier: string;
  readonly now: () => number;
}

/** Serves the call until one side ends it. Returns a function that ends it from this side. */
export function serveStream(call: AdsCall, context: StreamContext): (code: status, details: string) => void {
  const { cache, registry, metrics, log, identifier, now } = context;
  let connected: ConnectedStream | undefined;
  let unwatch = () => {};
  let ended = false;
  let full = false;

  const cleanUp = () => {
    if (ended) return;
    ended = true;
    clearTimeout(firstRequestTimer);
    unwatch();
    metrics.streams.dec();
    if (connected === undefined) return;
    registry.delete(connected);
    log("info", "Envoy disconnected", { node: connected.node.id, peer: connected.peer });
  };

  const end = (code: status, details: string) => {
    if (ended) return;
    cleanUp();
    metrics.streamsRefused.inc({ code: status[code] });
    call.emit("error", { code, details });
  };

  const flush = () => {
    if (connected === undefined || full) return;
    for (let due = connected.session.next(); due !== undefined; due = connected.session.next()) {
      const bytes = encodeResponse(due, identifier);
      const type = TYPE_NAMES[due.typeUrl];
      metrics.pushes.inc({ type });
      metrics.pushedBytes.inc({ type }, bytes.length);
      log("debug", "push", { node: connected.node.id, type, version: due.version, resources: due.resources.length });
      if (!call.write(bytes)) {
        full = true;
        return;
      }
    }
  };

  /** The node's stream state; undefined when the request ended the stream. */
  const connect = ({ node }: ReceivedRequest): ConnectedStream | undefined => {
    if (node === undefined || node.id === "") {
      end(status.INVALID_ARGUMENT, "the first request of a stream must carry node.id; set it in Envoy's bootstrap");
      return undefined;
    }
    if (node.id.length > MAX_NODE_ID_LENGTH || node.cluster.length > MAX_NODE_ID_LENGTH) {
      end(status.INVALID_ARGUMENT, `node.id and node.cluster may have ${MAX_NODE_ID_LENGTH} characters`);
      return undefined;
    }
    const group = cache.nodeHash(node);
    const snapshot = cache.get(group);
    if (snapshot === undefined) {
      // An empty world would take a running Envoy down; UNAVAILABLE makes it keep what it has and ask again.
      end(status.UNAVAILABLE, "no valid configuration is loaded yet");
      return undefined;
    }
    const session = new SotwSession(snapshot);
    const stream = { node, group, peer: call.getPeer(), since: now(), session };
    clearTimeout(firstRequestTimer);
    registry.add(stream);
    unwatch = cache.watch(group, (next: Snapshot) => {
      guarded(() => {
        session.publish(next);
        flush();
      });
    });
    log("info", "Envoy connected", { node: node.id, cluster: node.cluster, group, peer: stream.peer });
    return stream;
  };

  const receive = (bytes: Buffer) => {
    let received: ReceivedRequest;
    try {
      received = decodeRequest(bytes);
    } catch {
      end(status.INVALID_ARGUMENT, "not a DiscoveryRequest");
      return;
    }
    connected ??= connect(received);
    if (connected === undefined) return;
    const { request } = received;
    const outcome = connected.session.receive(request, now());
    if (outcome.kind === "violation") {
      log("warn", "request refused", { node: connected.node.id, reason: outcome.message });
      end(status[outcome.code], outcome.message);
      return;
    }
    const known = TYPE_NAMES[request.typeUrl as keyof typeof TYPE_NAMES];
    metrics.requests.inc({ type: known ?? "other", kind: outcome.kind });
    if (outcome.kind === "unknown-type") {
      log("debug", "type not served", { node: connected.node.id, typeUrl: request.typeUrl.slice(0, 200) });
    } else if (outcome.kind === "nack") {
      const { version, resources, code, message } = outcome.nack;
      metrics.nacks.inc({ type: known });
      log("error", "Envoy rejected a response; it keeps what it had", {
        node: connected.node.id,
        type: known,
        version,
        resources: resources.slice(0, 20),
        code,
        detail: message,
      });
    }
    flush();
  };

  metrics.streams.inc();
  const firstRequestTimer = setTimeout(
    () => end(status.DEADLINE_EXCEEDED, "no request within 15 s"),
    FIRST_REQUEST_TIMEOUT_MS,
  );
  /** A mistake in this server ends one stream, not the process. */
  const guarded = (work: () => void) => {
    if (ended) return;
    try {
      work();
    } catch (error) {
      log("error", "stream failed", {
        node: connected?.node.id,
        error: error instanceof Error ? error.stack : String(error),
      });
      end(status.INTERNAL, "internal error; see the server's log");
    }
  };
  call.on("data", (bytes: Buffer) => guarded(() => receive(bytes)));
  call.on("drain", () =>
    guarded(() => {
      full = false;
      flush();
    }),
  );
  call.on("end", () => {
    if (!ended) call.end();
    cleanUp();
  });
  call.on("cancelled", cleanUp);
  call.on("error", cleanUp);
  call.on("close", cleanUp);
  return end;
}
