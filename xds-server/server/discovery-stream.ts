/**
 * One discovery stream: moves bytes between gRPC and a session. Back-pressure has two gates: the session lets at most one response per type be unanswered, and
 * nothing is written while the transport's buffer is full. What is in that buffer is shared with other streams.
 */
import {
  NO_DYNAMIC_PARAMETERS,
  type NodeIdentity,
  type Snapshot,
  sameDynamicParameters,
  TYPE_NAMES,
} from "../cache/index.ts";
import { CallError, Status, type StreamCall, statusName } from "../grpc/index.ts";
import { emptyMap, withEntry, withoutEntry } from "../stream/index.ts";
import type { DiscoveryMethod } from "./discovery-services.ts";
import { encodeNonce } from "./discovery-wire.ts";
import { FIRST_REQUEST_TIMEOUT_MS, MAX_EARLY_BYTES } from "./limits.ts";
import type { Pushable } from "./push-queue.ts";
import { openSession, type StreamSession } from "./sessions.ts";
import type { StreamContext } from "./stream-context.ts";
import type { ConnectedStream, StreamState, Watches } from "./stream-registry.ts";

const NO_WATCHES: Watches = new Map();
const NOBODY: NodeIdentity = {
  id: "",
  cluster: "",
  locality: { region: "", zone: "", subZone: "" },
  metadata: {},
  clientFeatures: [],
  dynamicParameters: NO_DYNAMIC_PARAMETERS,
};

/** One object per stream: thousands of them are open at a time. */
export class DiscoveryStream implements Pushable, ConnectedStream {
  node = NOBODY;
  group = "";
  state: StreamState = "behind";
  behindSince: number | undefined;
  readonly since: number;
  readonly variant: "sotw" | "delta";
  readonly service: string;
  readonly #call: StreamCall;
  readonly #method: DiscoveryMethod;
  readonly #context: StreamContext;
  #session: StreamSession | undefined;
  #snapshot: Snapshot | undefined;
  #unwatch: (() => void) | undefined;
  /** Until it is admitted: requests that came meanwhile. */
  #early: Buffer[] | undefined;
  /** Until the first request, then the next heartbeat. */
  #timer: NodeJS.Timeout | undefined;
  #deadline: number | undefined;
  #full = false;
  /** When the newest response of a type went out, monotonic ms. */
  #sentAt: ReadonlyMap<string, number> = emptyMap();

  /** The same functions for all streams; the call is `this`. */
  static readonly #on = {
    message(this: StreamCall, bytes: Buffer): void {
      (this.owner as DiscoveryStream).#receive(bytes);
    },
    drain(this: StreamCall): void {
      const stream = this.owner as DiscoveryStream;
      stream.#full = false;
      stream.#context.queue.add(stream);
    },
    halfClose(this: StreamCall): void {
      this.end(Status.ok);
    },
    close(this: StreamCall): void {
      (this.owner as DiscoveryStream).#close();
    },
  };

  constructor(call: StreamCall, method: DiscoveryMethod, context: StreamContext) {
    this.#call = call;
    this.#method = method;
    this.#context = context;
    this.variant = method.variant;
    this.service = method.service;
    this.since = context.now();
    call.owner = this;
    call.onMessage = DiscoveryStream.#on.message;
    call.onDrain = DiscoveryStream.#on.drain;
    call.onHalfClose = DiscoveryStream.#on.halfClose;
    call.onClose = DiscoveryStream.#on.close;
    context.metrics.streams.inc(this.#labels());
    this.#admit();
  }

  get peer(): string {
    return this.#call.peer.address;
  }

  get spiffeId(): string | undefined {
    return this.#call.peer.spiffeId;
  }

  get watches(): Watches {
    return this.#session?.watches ?? NO_WATCHES;
  }

  get snapshot(): Snapshot {
    if (this.#snapshot === undefined) throw new Error("not connected");
    return this.#snapshot;
  }

  /** Sends what is due, until the buffer is full. */
  flush(clock: number): void {
    this.#call.run(() => this.#flush(clock));
  }

  #admit(): void {
    const { admission, metrics } = this.#context;
    const wait = admission.ask();
    if (wait === undefined) {
      this.#refuse(Status.resourceExhausted, "too many new streams at a time; try again");
      return;
    }
    metrics.admissionWait.observe(wait / 1_000);
    if (wait === 0) {
      this.#awaitFirstRequest();
      return;
    }
    this.#early = [];
    this.#timer = setTimeout(() => {
      this.#awaitFirstRequest();
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const bytes of early) this.#call.run(() => this.#receive(bytes));
    }, wait);
  }

  #awaitFirstRequest(): void {
    this.#timer = setTimeout(
      () => this.#refuse(Status.deadlineExceeded, "no request within 15 s"),
      FIRST_REQUEST_TIMEOUT_MS,
    );
  }

  #receive(bytes: Buffer): void {
    if (this.#early !== undefined) {
      this.#early.push(bytes);
      const held = this.#early.reduce((sum, each) => sum + each.length, 0);
      if (held > MAX_EARLY_BYTES) this.#refuse(Status.resourceExhausted, "too many requests before the first answer");
      return;
    }
    try {
      const { metrics, log, now } = this.#context;
      if (this.#session === undefined) this.#connect(bytes);
      const session = this.#session as StreamSession | undefined;
      if (session === undefined) return;
      const { typeUrl, outcome, node } = session.receive(bytes, now());
      if (outcome.kind === "violation") {
        const code = outcome.code === "INVALID_ARGUMENT" ? Status.invalidArgument : Status.resourceExhausted;
        throw new CallError(code, outcome.message);
      }
      const type = TYPE_NAMES[typeUrl as keyof typeof TYPE_NAMES] ?? "other";
      metrics.traffic.of(type).requested(outcome.kind);
      if (outcome.kind === "unknown-type") {
        log("debug", "type not served", { node: this.node.id, typeUrl: typeUrl.slice(0, 200) });
      } else if (outcome.kind === "ack" || outcome.kind === "nack") this.#answered(typeUrl, type, outcome);
      if (node !== undefined) this.#renewed(node);
      this.#context.queue.add(this);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      this.#refuse(error.status, error.message);
    }
  }

  #answered(typeUrl: string, type: string, outcome: ReturnType<StreamSession["receive"]>["outcome"]): void {
    const { metrics, log, registry, clock } = this.#context;
    const sentAt = this.#sentAt.get(typeUrl);
    if (sentAt !== undefined) metrics.traffic.of(type).ackSeconds.observe((clock() - sentAt) / 1_000);
    this.#sentAt = withoutEntry(this.#sentAt, typeUrl);
    const watch = this.watches.get(typeUrl);
    if (watch !== undefined) registry.nacks.answered(this.node, this.group, watch.typeUrl, watch.nack);
    if (outcome.kind !== "nack") return;
    const { version, resources, code, message } = outcome.nack;
    metrics.nacks.inc({ type });
    log("error", "Envoy rejected a response; it keeps what it had", {
      node: this.node.id,
      group: this.group,
      type,
      version,
      resources: resources.slice(0, 20),
      code,
      detail: message,
    });
    registry.nacked(this, outcome.nack);
  }

  /** The first request says who it is and begins the session. @throws CallError when it may not be served */
  #connect(bytes: Buffer): void {
    const { cache, registry, metrics, log, now } = this.#context;
    const opening = openSession(this.#method, bytes, this.#context.names);
    const { node } = opening;
    if (node === undefined || node.id === "") {
      throw new CallError(
        Status.invalidArgument,
        "the first request of a stream must carry node.id; set it in Envoy's bootstrap",
      );
    }
    if (registry.size >= this.#context.maxStreams) {
      throw new CallError(Status.resourceExhausted, `this server has ${this.#context.maxStreams} streams`);
    }
    const { group, snapshot } = this.#servedTo(node);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    metrics.streams.dec(this.#labels());
    this.node = node;
    this.group = group;
    metrics.streams.inc(this.#labels());
    this.#snapshot = snapshot;
    this.#session = opening.begin(snapshot);
    this.behindSince = now();
    registry.add(this, now());
    this.#unwatch = cache.watch(group, (next) => this.#publish(next));
    log("info", "Envoy connected", {
      node: node.id,
      cluster: node.cluster,
      group,
      peer: this.peer,
      variant: this.variant,
      service: this.service,
    });
  }

  /** @throws CallError when the node may not be served */
  #servedTo(node: NodeIdentity): { readonly group: string; readonly snapshot: Snapshot } {
    const { cache, authorize } = this.#context;
    const group = cache.nodeHash(node, this.#method.onlyType);
    const refusal = authorize(this.#call.peer, node, group);
    if (refusal !== undefined) throw new CallError(Status.permissionDenied, refusal);
    const snapshot = cache.get(group);
    // An empty world would take a running Envoy down; UNAVAILABLE makes it keep what it has and ask again.
    if (snapshot === undefined) throw new CallError(Status.unavailable, "no valid configuration is loaded yet");
    return { group, snapshot };
  }

  /**
   * The node comes once more: Envoy sends it again when its dynamic parameters are others, and some clients send it with every request. Nothing else of it may
   * change. @throws CallError when it may not be served any more
   */
  #renewed({ dynamicParameters }: NodeIdentity): void {
    if (sameDynamicParameters(dynamicParameters, this.node.dynamicParameters)) return;
    const { cache, registry, metrics, log, now } = this.#context;
    const node = { ...this.node, dynamicParameters };
    const { group, snapshot } = this.#servedTo(node);
    this.node = node;
    const from = this.group;
    if (group === from) return;
    this.#unwatch?.();
    metrics.streams.dec(this.#labels());
    this.group = group;
    metrics.streams.inc(this.#labels());
    // Behind since it is in this group: what it owed to the other one it owes nobody.
    this.behindSince = now();
    this.state = "behind";
    registry.moved(this, from);
    this.#unwatch = cache.watch(group, (next) => this.#publish(next));
    this.#publish(snapshot);
    log("info", "Envoy is in another node group now", { node: node.id, from, group, service: this.service });
  }

  #publish(snapshot: Snapshot): void {
    this.#call.run(() => {
      const { registry, queue, now } = this.#context;
      this.#snapshot = snapshot;
      this.#session?.publish(snapshot);
      this.state = "behind";
      this.behindSince ??= now();
      registry.changed(this);
      queue.addChanged(this);
    });
  }

  #flush(clock: number): void {
    const session = this.#session;
    if (session === undefined || this.#full) return;
    const { bodies, metrics, log } = this.#context;
    // One reading for all of it: reading the clock may cost as much as all the rest of a push.
    const now = this.#context.now();
    for (let due = session.next(now); due !== undefined; due = session.next(now)) {
      const body = bodies.body(due);
      const nonce = encodeNonce(due.nonce);
      const type = TYPE_NAMES[due.typeUrl];
      const traffic = metrics.traffic.of(type);
      traffic.pushes++;
      traffic.pushedBytes += body.length + nonce.length;
      if (this.behindSince !== undefined) traffic.pushSeconds.observe((now - this.behindSince) / 1_000);
      this.#sentAt = withEntry(this.#sentAt, due.typeUrl, clock);
      log("debug", "push", { node: this.node.id, type, nonce: due.nonce, resources: due.resources.length });
      if (!this.#call.write(nonce, body)) {
        this.#full = true;
        break;
      }
    }
    this.#judge(now);
    this.#arm(session.nextDeadline());
  }

  /** After a flush: nothing more is due, unless the buffer is full. */
  #judge(now: number): void {
    let state: StreamState = this.#full ? "behind" : "accepted";
    for (const { inFlight, nack } of this.watches.values()) {
      if (inFlight !== undefined) state = "behind";
      else if (nack !== undefined && state === "accepted") state = "nacked";
    }
    if (state !== "behind") this.behindSince = undefined;
    else this.behindSince ??= now;
    if (state === this.state) return;
    this.state = state;
    this.#context.registry.changed(this);
  }

  /** Wakes the stream for its next heartbeat. */
  #arm(deadline: number | undefined): void {
    if (deadline === this.#deadline) return;
    this.#deadline = deadline;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (deadline === undefined) return;
    const wait = Math.max(0, deadline - this.#context.now());
    this.#timer = setTimeout(() => {
      this.#deadline = undefined;
      this.#context.queue.add(this);
    }, wait);
  }

  #refuse(status: Status, reason: string): void {
    const { metrics, log } = this.#context;
    if (this.#call.ended) return;
    metrics.streamsRefused.inc({ code: statusName(status) });
    const level = status === Status.unavailable || status === Status.resourceExhausted ? "debug" : "warn";
    log(level, "stream refused", { node: this.node.id, peer: this.peer, code: statusName(status), reason });
    this.#call.end(status, reason);
  }

  #close(): void {
    const { registry, metrics, log, queue, now } = this.#context;
    clearTimeout(this.#timer);
    this.#unwatch?.();
    queue.delete(this);
    metrics.streams.dec(this.#labels());
    if (this.#session === undefined) return;
    registry.delete(this, now());
    log("info", "Envoy disconnected", { node: this.node.id, peer: this.peer, service: this.service });
  }

  #labels() {
    return { variant: this.variant, service: this.service, group: this.group };
  }
}
