/** The protocol state of a stream with its decoder: bytes of requests in, what is due out. One face for both variants. */
import type { NodeIdentity, Snapshot } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import {
  DeltaSession,
  type PlannedDelta,
  type PlannedResponse,
  type Received,
  type Session,
  type SessionOptions,
  SotwSession,
  supportsTtl,
} from "../stream/index.ts";
import type { DiscoveryMethod } from "./discovery-services.ts";
import { type DecodedRequest, decodeDelta, type NameLists, SotwDecoder } from "./discovery-wire.ts";
import { SharedNodes } from "./shared-nodes.ts";
import type { Watches } from "./stream-registry.ts";

export type Planned = PlannedResponse | PlannedDelta;

export interface StreamSession {
  readonly watches: Watches;
  publish(snapshot: Snapshot): void;
  /** @throws CallError for bytes that are no request */
  receive(bytes: Buffer, now: number): Taken;
  next(now: number): Planned | undefined;
  nextDeadline(): number | undefined;
}

/** What was made of a request. */
export interface Taken {
  readonly typeUrl: string;
  readonly outcome: Received;
  /** Who the client says it is; most requests do not. */
  readonly node: NodeIdentity | undefined;
}

export interface Opening {
  /** Who the first request says it is. */
  readonly node: NodeIdentity | undefined;
  /** The session, which has not seen the request yet: it is to be handed in. */
  begin(snapshot: Snapshot): StreamSession;
}

/** Of aggregated streams, which are nearly all: one object for all of them. */
const WITH_TTL: SessionOptions = { ttl: true };
const WITHOUT_TTL: SessionOptions = { ttl: false };

/** @param first the first request of the stream. @throws CallError when it is none */
export function openSession({ variant, onlyType }: DiscoveryMethod, first: Buffer, lists: NameLists): Opening {
  const optionsOf = (node: NodeIdentity | undefined): SessionOptions => {
    const ttl = supportsTtl(node?.clientFeatures ?? [], variant);
    if (onlyType !== undefined) return { onlyType, ttl };
    return ttl ? WITH_TTL : WITHOUT_TTL;
  };
  if (variant === "delta") {
    const node = shared(decodeDeltaRequest(first).node);
    return {
      node,
      begin: (snapshot) =>
        new DecodingSession(new DeltaSession(snapshot, optionsOf(node)), decodeDeltaRequest, onlyType),
    };
  }
  const decoder = new SotwDecoder(lists);
  const decode = guarded((bytes) => decoder.decode(bytes), "DiscoveryRequest");
  const node = shared(decode(first).node);
  return {
    node,
    begin: (snapshot) => new DecodingSession(new SotwSession(snapshot, optionsOf(node)), decode, onlyType),
  };
}

const nodes = new SharedNodes();

function shared(node: NodeIdentity | undefined): NodeIdentity | undefined {
  return node === undefined ? undefined : nodes.share(node);
}

/** A class and no closures: there is one for each of thousands of streams. */
class DecodingSession<Request extends { readonly typeUrl: string }> implements StreamSession {
  readonly #session: Session<Request, Planned>;
  readonly #decode: (bytes: Buffer) => DecodedRequest<Request>;
  readonly #onlyType: string;

  constructor(session: Session<Request, Planned>, decode: (bytes: Buffer) => DecodedRequest<Request>, onlyType = "") {
    this.#session = session;
    this.#decode = decode;
    this.#onlyType = onlyType;
  }

  get watches(): Watches {
    return this.#session.watches;
  }

  publish(snapshot: Snapshot): void {
    this.#session.publish(snapshot);
  }

  receive(bytes: Buffer, now: number): Taken {
    const { request, node } = this.#decode(bytes);
    const typeUrl = request.typeUrl === "" ? this.#onlyType : request.typeUrl;
    return { typeUrl, outcome: this.#session.receive(request, now), node };
  }

  next(now: number): Planned | undefined {
    return this.#session.next(now);
  }

  nextDeadline(): number | undefined {
    return this.#session.nextDeadline();
  }
}

const decodeDeltaRequest = guarded(decodeDelta, "DeltaDiscoveryRequest");

function guarded<T>(decode: (bytes: Buffer) => T, message: string): (bytes: Buffer) => T {
  return (bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      if (error instanceof CallError) throw error;
      throw new CallError(Status.invalidArgument, `not a ${message}`);
    }
  };
}
